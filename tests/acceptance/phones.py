"""Phones with one connection each, so that a test knows which api worker it talks to."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from tests.support.waiting import until


class Phone:
    """Placement `shared` only."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def worker(self) -> str:
        async with self._session.get("/metrics") as response:
            text = await response.text()
        # The worker that answers comes first.
        return str(re.findall(r'^tayang_events_accepted_total\{worker="(\d+)"\}', text, re.MULTILINE)[0])

    async def popups(self) -> list[dict[str, Any]]:
        async with self._session.get("/v1/popups?placement=shared") as response:
            assert response.status == 200, await response.text()
            return list((await response.json())["popups"])

    async def show(self) -> None:
        """Fetch and confirm the one popup."""
        (popup,) = await self.popups()
        async with self._session.post("/v1/impressions", json={"token": popup["token"]}) as response:
            assert response.status == 202, await response.text()


@asynccontextmanager
async def two_workers(url: str, token: str) -> AsyncIterator[tuple[Phone, Phone]]:
    """Two phones of one user, on different workers."""
    found: dict[str, Phone] = {}
    async with AsyncExitStack() as sessions:

        async def another() -> bool:
            """SO_REUSEPORT spreads connections by a hash over the workers that listen already."""
            session = aiohttp.ClientSession(
                url,
                headers={"Authorization": f"Bearer {token}"},
                connector=aiohttp.TCPConnector(limit=1),
                timeout=aiohttp.ClientTimeout(total=20),
            )
            phone = Phone(session)
            worker = await phone.worker()
            if worker in found:
                await session.close()
            else:
                found[worker] = phone
                await sessions.enter_async_context(session)
            return len(found) == 2

        await until(another, "both workers answer")
        first, second = found.values()
        yield first, second


async def create_once(url: str, admin_key: str, key: str) -> None:
    """A live campaign at placement `shared` that each user may see once, ever."""
    document = {
        "key": key,
        "name": key,
        "status": "live",
        "placement": "shared",
        "caps": [{"limit": 1, "window": "lifetime"}],
        "variants": [{"key": "a", "weight": 1, "content": {}}],
    }
    headers = {"Authorization": f"Bearer {admin_key}"}
    async with (
        aiohttp.ClientSession(url, headers=headers) as session,
        session.post("/v1/admin/campaigns", json=document) as response,
    ):
        assert response.status == 201, await response.text()
