"""`tayang serve` on a test's database, and clients that hide nothing: no retry, no pool."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped]

from tests.acceptance.processes import Command, Shell
from tests.support.database import Database
from tests.support.raw_http import Answer, RawClient
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET, user_jwt
from tests.support.waiting import until


async def serve(shell: Shell, database: Database, workers: int, **settings: object) -> Command:
    """A ready `tayang serve`."""
    command = await shell.start(
        *("serve", "--workers", str(workers)),
        primary_dsn=database.primary_dsn,
        replica_dsn=database.replica_dsn,
        admin_key=ADMIN_KEY,
        token_secrets=TOKEN_SECRET,
        user_jwt_secret=USER_SECRET,
        stop_merge_seconds=0,  # nobody merges in these tests unless they say so
        user_max_requests_per_second=1e6,  # phones without pauses
        **settings,
    )
    await command.says("serving on ")
    await until(lambda: ready(shell.url), "the service is ready", seconds=60)
    return command


async def ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
            return response.ok
    except aiohttp.ClientError:
        return False


def workers_of(command: Command) -> set[int]:
    return {child.pid for child in psutil.Process(command.pid).children()}


@dataclass
class Phone:
    """Asks for popups and confirms one, again and again, until it is told to end or nobody listens."""

    port: int
    user: str
    keep_alive: bool
    statuses: list[int] = field(default_factory=list)
    refusals: list[Answer] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    ended: bool = False

    async def run(self) -> None:
        """Raises what happens to a request that was begun; a refused connection ends it quietly."""
        client = RawClient("127.0.0.1", self.port, keep_alive=self.keep_alive)
        try:
            while not self.ended:
                await self._round(client)
        except ConnectionRefusedError:
            pass
        finally:
            await client.close()

    async def _round(self, client: RawClient) -> None:
        answer = await self._ask(client, "GET", "/v1/popups?placement=home")
        if answer.status != 200:
            return
        token = json.loads(answer.body)["popups"][0]["token"]
        answer = await self._ask(client, "POST", "/v1/impressions", {"token": token})
        if answer.status == 202:
            self.acknowledged.append(token)

    async def _ask(self, client: RawClient, method: str, path: str, document: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {user_jwt(self.user)}"}
        answer = await client.request(method, path, headers=headers, document=document)
        self.statuses.append(answer.status)
        if answer.status >= 400:
            self.refusals.append(answer)
        return answer


@asynccontextmanager
async def phones(port: int, count: int) -> AsyncIterator[list[Phone]]:
    """Half of them keep their connection, the others open one for each request. At the end all have gone."""
    everyone = [Phone(port, f"user {number}", keep_alive=number % 2 == 0) for number in range(count)]
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        for phone in everyone:
            tasks.create_task(phone.run())
        yield everyone
        for phone in everyone:
            phone.ended = True
