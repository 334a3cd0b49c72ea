"""`tayang erase-user`: has the running service erase a user, and waits until nothing is left."""

import asyncio
import json
import time
from typing import Any, Final
from urllib.parse import quote

from tayang.admin_client import BAD_INPUT, FAILED, OK, AdminClient, ServiceError

_POLL_SECONDS: Final = 0.1


async def erase_user(client: AdminClient, user_id: str, *, wait_seconds: float, as_json: bool) -> int:
    """Prints what is gone, and returns 0. Raises ServiceError, also if it takes longer."""
    found = await _erase(client, user_id, wait_seconds)
    if as_json:
        print(json.dumps(found))  # noqa: T201
    if found["status"] != "erased":
        late = f"erasure {found['id']} goes on: the log is not searched yet after {wait_seconds:g} s; is"
        raise ServiceError(FAILED, f"{late} 'tayang maintain' running? Nothing comes back meanwhile")
    if not as_json:
        removed = ", ".join(f"{count} of {place}" for place, count in found["removed"].items())
        print(f"erased; rows removed: {removed} (erasure {found['id']})")  # noqa: T201
    return OK


async def _erase(client: AdminClient, user_id: str, wait_seconds: float) -> dict[str, Any]:
    """The erasure as it is in the end."""
    deadline = time.monotonic() + wait_seconds
    found = await _ask(client, "DELETE", f"/v1/admin/users/{quote(user_id, safe='')}")
    while found["status"] != "erased" and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        found = await _ask(client, "GET", f"/v1/admin/erasures/{found['id']}")
    return found


async def _ask(client: AdminClient, method: str, path: str) -> dict[str, Any]:
    answer = await client.ask(method, path)
    if not answer.ok:
        raise ServiceError(BAD_INPUT, answer.detail)
    return answer.document
