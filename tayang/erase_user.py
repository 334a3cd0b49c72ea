"""`tayang erase-user`: has the running service erase a user, and waits until nothing is left."""

import asyncio
import json
import sys
import time
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from tayang.explain import FAILED, OK, Refusal, refusal_of, service_url, unreachable
from tayang.settings import Settings, SettingsError

_REQUEST_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.1


async def erase_user(
    settings: Settings, user_id: str, *, wait_seconds: float, url: str | None, as_json: bool
) -> int:
    """Exit code: 0 nothing is left; 1 the service is away, failed, or takes longer; 2 the input is wrong.

    Raises SettingsError.
    """
    if not settings.admin_key:
        raise SettingsError(
            "TAYANG_ADMIN_KEY is not set: set it as for the service, or TAYANG_DATA_DIR to the one of "
            "'tayang up'"
        )
    base = service_url(settings, url)
    found = await _erase(base, settings.admin_key, user_id, wait_seconds)
    if isinstance(found, Refusal):
        return _complain(found)
    if as_json:
        print(json.dumps(found))  # noqa: T201
    if found["status"] != "erased":
        late = f"erasure {found['id']} goes on: the log is not searched yet after {wait_seconds:g} s; is"
        return _complain(Refusal(FAILED, f"{late} 'tayang maintain' running? Nothing comes back meanwhile"))
    if not as_json:
        removed = ", ".join(f"{count} of {place}" for place, count in found["removed"].items())
        print(f"erased; rows removed: {removed} (erasure {found['id']})")  # noqa: T201
    return OK


async def _erase(base: str, admin_key: str, user_id: str, wait_seconds: float) -> dict[str, Any] | Refusal:
    """The erasure as it is in the end."""
    deadline = time.monotonic() + wait_seconds
    path = f"/v1/admin/users/{quote(user_id, safe='')}"
    headers = {"Authorization": f"Bearer {admin_key}"}
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        found = await _ask(session, base, "DELETE", path)
        while not isinstance(found, Refusal) and found["status"] != "erased" and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            found = await _ask(session, base, "GET", f"/v1/admin/erasures/{found['id']}")
    return found


async def _ask(session: aiohttp.ClientSession, base: str, method: str, path: str) -> dict[str, Any] | Refusal:
    try:
        # Quoted already: a user id may hold any character.
        async with session.request(method, URL(base + path, encoded=True)) as response:
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return unreachable(base, error)
    if not response.ok:
        return refusal_of(response.status, text, base)
    document: dict[str, Any] = json.loads(text)
    return document


def _complain(refusal: Refusal) -> int:
    print(f"tayang: {refusal.detail}", file=sys.stderr)  # noqa: T201
    return refusal.exit_code
