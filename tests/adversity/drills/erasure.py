"""How soon nothing is left of an erased user, whose phone sends old impressions again, and processes die.

    python -m tests.adversity.drills.erasure [--rounds 60] [--workers 3] [--json]

Phones fetch popups and confirm them, some of them twice. Each round one user is erased, and his phone then
sends again all that it has sent before, several times. Measured: from the last of these answers until no
table of the primary has the user's id in it, as text or bytes. In the second half of the rounds, workers,
backends of the primary and `tayang maintain` get SIGKILL all the while. Exit code 1 if anything of an erased
user is found in the end, on either server, or if an impression of another user is lost.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Annotated, Any, Final
from uuid import UUID

import aiohttp
import asyncpg
import psutil  # type: ignore[import-untyped]
import typer
import uvloop

from api.tokens import TokenSigner
from buffer.connection import DATABASE_ERRORS
from loadtests.figures import percentile
from tayang.user_token import mint
from tests.adversity.drills.stack import Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET
from tests.support.traces import traces_in
from tests.support.waiting import until

_REMEMBERED: Final = 10
_RESENDS: Final = 3
_LONG_SECONDS: Final = 60.0
_ROWS_LEFT: Final = """
    SELECT count(*) FROM impression_buffer AS b LEFT JOIN buffer_watermarks AS w USING (instance)
    WHERE b.seq > coalesce(w.seq, 0)"""
_LOGGED: Final = "SELECT impression_id FROM impressions WHERE impression_id = ANY ($1::uuid[])"


@dataclass(frozen=True)
class Plan:
    rounds: int
    workers: int
    phones: int = 40
    pause_seconds: float = 0.2
    kill_seconds: tuple[float, float] = (1.0, 3.0)
    seed: int = 1


@dataclass
class Found:
    """In seconds, one for each user who was erased; `killed` while processes were. The users who are left."""

    quiet: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    kills: int = 0
    resent: int = 0
    acknowledged: int = 0
    lost: int = 0
    left: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.left and not self.lost

    def as_dict(self) -> dict[str, Any]:
        times = {"quiet": self.quiet, "killed": self.killed}
        return {
            **{name: _figures(seconds) for name, seconds in times.items() if seconds},
            "kills": self.kills,
            "old_impressions_sent_again": self.resent,
            "others_acknowledged": self.acknowledged,
            "others_lost": self.lost,
            "left_in_tables": self.left,
        }


class Phone:
    """Of one user. Sends until it gets an answer that is final."""

    def __init__(self, session: aiohttp.ClientSession, number: int) -> None:
        self.user = f"erasure-user-{number:06d}"
        self.sent: list[str] = []
        self._session = session
        self._headers = {"Authorization": f"Bearer {mint(USER_SECRET, self.user)}"}

    async def use(self, dice: random.Random, pause_seconds: float) -> None:
        while True:
            await asyncio.sleep(dice.uniform(0.0, 2 * pause_seconds))
            answer = await self._ask("GET", "/v1/popups?placement=home&limit=1")
            token = answer["popups"][0]["token"]
            for _ in range(dice.choice((1, 1, 2))):
                await self.send(token)
            self.sent.append(token)

    async def send(self, token: str) -> None:
        await self._ask("POST", "/v1/impressions", json={"token": token})

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        async with asyncio.timeout(_LONG_SECONDS):
            while True:
                with suppress(aiohttp.ClientError):
                    async with self._session.request(
                        method, path, headers=self._headers, **options
                    ) as response:
                        if response.status in (200, 202):
                            return await response.json()
                        assert response.status == 503, await response.text()
                await asyncio.sleep(0.02)


class Drill:
    def __init__(self, stack: Stack, plan: Plan, session: aiohttp.ClientSession) -> None:
        self.found = Found()
        self._stack = stack
        self._plan = plan
        self._session = session
        self._dice = random.Random(plan.seed)
        self._numbers = count(1)
        self._using: dict[Phone, asyncio.Task[None]] = {}
        self._erased: list[str] = []
        self._killing = False

    async def run(self) -> Found:
        await self._stack.create_campaign("any")
        for _ in range(self._plan.phones):
            self._take_up()
        half = self._plan.rounds // 2
        for _ in range(half):
            self.found.quiet.append(await self._round())
        async with self._kills():
            for _ in range(self._plan.rounds - half):
                self.found.killed.append(await self._round())
        await self._end()
        return self.found

    def _take_up(self) -> None:
        phone = Phone(self._session, next(self._numbers))
        self._using[phone] = asyncio.create_task(phone.use(self._dice, self._plan.pause_seconds))

    async def _put_down(self, phone: Phone) -> None:
        task = self._using.pop(phone)
        failed = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not failed

    async def _round(self) -> float:
        """Returns how long something was left of one user, in seconds."""
        await until(lambda: any(len(phone.sent) > 2 for phone in self._using), "somebody has seen popups")
        phone = self._dice.choice([phone for phone in self._using if len(phone.sent) > 2])
        await self._put_down(phone)
        self._take_up()
        await self._erase(phone.user)
        again = phone.sent[-_REMEMBERED:] * _RESENDS
        await asyncio.gather(*(phone.send(token) for token in again))
        self.found.resent += len(again)
        answered_at = time.monotonic()
        await until(lambda: self._traceless(phone.user), "nothing is left of the user", seconds=_LONG_SECONDS)
        self._erased.append(phone.user)
        return time.monotonic() - answered_at

    async def _erase(self, user: str) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}

        async def done() -> bool:
            with suppress(aiohttp.ClientError):
                async with self._session.delete(f"/v1/admin/users/{user}", headers=headers) as response:
                    assert response.status in (202, 503), await response.text()
                    return response.status == 202
            return False

        await until(done, "the user is erased", seconds=_LONG_SECONDS)

    async def _traceless(self, *users: str) -> bool:
        try:
            connection = await asyncpg.connect(self._stack.primary_dsn)
        except DATABASE_ERRORS:
            return False  # it recovers from a crash
        try:
            return not await traces_in(connection, *users)
        except DATABASE_ERRORS:
            return False
        finally:
            connection.terminate()

    @asynccontextmanager
    async def _kills(self) -> AsyncIterator[None]:
        """Until the block ends; then all that was killed runs again."""
        self._killing = True
        task = asyncio.create_task(self._kill())
        try:
            yield
        finally:
            self._killing = False
            await task
            await self._stack.ready()

    async def _kill(self) -> None:
        attacks = (self._kill_worker, self._kill_backend, self._kill_maintenance)
        while self._killing:
            killed_at = datetime.now(UTC)
            await attacks[self.found.kills % len(attacks)]()
            self.found.kills += 1
            await asyncio.sleep(self._dice.uniform(*self._plan.kill_seconds))
            # Two failures within one merge interval may lose something (docs/guarantees.md): one at a time.
            await self._stack.ready()
            await until(partial(self._merged_since, killed_at), "a merge has come", seconds=_LONG_SECONDS)

    async def _merged_since(self, moment: datetime) -> bool:
        try:
            connection = await asyncpg.connect(self._stack.primary_dsn)
        except DATABASE_ERRORS:
            return False
        try:
            merged_at: datetime = await connection.fetchval("SELECT merged_at FROM merge_ticks")
        except DATABASE_ERRORS:
            return False
        finally:
            connection.terminate()
        return merged_at > moment

    async def _kill_worker(self) -> None:
        workers = psutil.Process(self._stack.serve.pid).children()
        if workers:
            self._dice.choice(workers).kill()

    async def _kill_backend(self) -> None:
        """The primary recovers from a crash: what is UNLOGGED is empty then, and sent again."""
        with suppress(*DATABASE_ERRORS):
            victim = await asyncpg.connect(self._stack.primary_dsn)
            os.kill(victim.get_server_pid(), signal.SIGKILL)
            victim.terminate()

    async def _kill_maintenance(self) -> None:
        await self._stack.maintain.kill()
        await self._stack.start_maintaining()

    async def _end(self) -> None:
        """Nothing has come back of those who were erased, and nothing is lost of the others."""
        phones = list(self._using)
        for phone in phones:
            await self._put_down(phone)
        primary = await asyncpg.connect(self._stack.primary_dsn)
        replica = await asyncpg.connect(str(self._stack.settings["replica_dsn"]))
        try:
            await until(lambda: _merged(primary), "all is merged", seconds=_LONG_SECONDS)
            await until(lambda: self._traceless(*self._erased), "nothing is left", seconds=_LONG_SECONDS)
            position = await primary.fetchval("SELECT pg_current_wal_flush_lsn()")
            await until(lambda: _replayed(replica, position), "the replica is there", seconds=_LONG_SECONDS)
            for server in (primary, replica):
                self.found.left |= await traces_in(server, *self._erased)
            signer = TokenSigner((TOKEN_SECRET,))
            sent = {
                UUID(bytes=signer.verify(token).impression_id) for phone in phones for token in phone.sent
            }
            logged = {UUID(str(row["impression_id"])) for row in await primary.fetch(_LOGGED, list(sent))}
            self.found.acknowledged, self.found.lost = len(sent), len(sent - logged)
        finally:
            primary.terminate()
            replica.terminate()


async def measure(stack: Stack, plan: Plan) -> Found:
    async with aiohttp.ClientSession(stack.shell.url) as session:
        return await Drill(stack, plan, session).run()


async def _merged(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval(_ROWS_LEFT) == 0)


async def _replayed(replica: asyncpg.Connection, position: Any) -> bool:
    return bool(await replica.fetchval("SELECT pg_last_wal_replay_lsn() >= $1", position))


def _figures(seconds: list[float]) -> dict[str, float]:
    figures = {"p50_s": percentile(seconds, 50), "p99_s": percentile(seconds, 99), "max_s": max(seconds)}
    return {"users": len(seconds), **{name: round(value, 2) for name, value in figures.items()}}


async def _drill(plan: Plan) -> Found:
    with servers_directory("tayang-drill-") as directory:
        async with (
            own_cluster(directory) as (cluster, servers),
            running_stack(cluster, servers, directory / "service", workers=plan.workers) as stack,
        ):
            return await measure(stack, plan)


def main(
    rounds: Annotated[int, typer.Option(min=2)] = 60,
    workers: Annotated[int, typer.Option(min=1)] = 3,
    seed: int = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    found = uvloop.run(_drill(Plan(rounds, workers, seed=seed)))
    print(json.dumps(found.as_dict(), indent=1 if as_json else None))  # noqa: T201
    raise SystemExit(0 if found.good else 1)


if __name__ == "__main__":
    typer.run(main)
