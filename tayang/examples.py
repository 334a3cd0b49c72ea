"""The example campaigns and the policy: written through the admin API, as a marketer's script would."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Final

import aiohttp

log = logging.getLogger("tayang.examples")

EXAMPLES: Final = Path(__file__).parent.parent / "examples"
_REQUEST_SECONDS: Final = 30
_CREATED: Final = 201
_CONFLICT: Final = 409
_PRECONDITION_FAILED: Final = 412


class ExamplesError(Exception):
    """An example was refused; the message is the service's."""


async def load_examples(base_url: str, admin_key: str) -> int:
    """Create the examples that are not there yet, with their audiences; returns how many were created.

    The policy too, unless somebody has written another one.
    """
    headers = {"Authorization": f"Bearer {admin_key}"}
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    created = 0
    async with aiohttp.ClientSession(base_url, headers=headers, timeout=timeout) as session:
        await _put_policy(session)
        for file in sorted((EXAMPLES / "campaigns").glob("*.json")):
            text = await asyncio.to_thread(file.read_text)
            async with session.post("/v1/admin/campaigns", json=json.loads(text)) as response:
                if response.status == _CONFLICT:
                    continue
                if response.status != _CREATED:
                    raise ExamplesError(f"{file.name}: {await response.text()}")
            await _upload_audience(session, file.stem)
            created += 1
    return created


async def _put_policy(session: aiohttp.ClientSession) -> None:
    file = EXAMPLES / "policy.json"
    if not file.exists():
        return
    document = json.loads(await asyncio.to_thread(file.read_text))
    # Version 1 is that of a policy that was never written.
    async with session.put("/v1/admin/policy", json=document, headers={"If-Match": '"1"'}) as response:
        if not response.ok and response.status != _PRECONDITION_FAILED:
            raise ExamplesError(f"{file.name}: {await response.text()}")


async def _upload_audience(session: aiohttp.ClientSession, key: str) -> None:
    file = EXAMPLES / "audiences" / f"{key}.csv"
    if not file.exists():
        return
    data = await asyncio.to_thread(file.read_bytes)
    path = f"/v1/admin/campaigns/{key}/audience"
    async with session.put(path, data=data, headers={"Content-Type": "text/csv"}) as response:
        if not response.ok:
            raise ExamplesError(f"{file.name}: {await response.text()}")
