"""`tayang serve` and `tayang maintain` as their operators run them, and what becomes of them."""

import asyncio
import os
import signal
from typing import Any
from uuid import UUID

import aiohttp
import psutil  # type: ignore[import-untyped]
import pytest

from api.tokens import TokenSigner
from tests.acceptance.phones import two_workers
from tests.acceptance.processes import Command, Shell
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET, Service, bearer, user_jwt
from tests.support.waiting import until

_PHONES = 8
_ACKNOWLEDGED_BEFORE_THE_STOP = 200


async def _serve(shell: Shell, database: Database, workers: int) -> Command:
    """A ready `tayang serve` on the test's database."""
    command = await shell.start(
        *("serve", "--workers", str(workers)),
        primary_dsn=database.primary_dsn,
        replica_dsn=database.replica_dsn,
        admin_key=ADMIN_KEY,
        token_secrets=TOKEN_SECRET,
        user_jwt_secret=USER_SECRET,
        stop_merge_seconds=0,  # nobody merges in these tests unless they say so
    )
    await command.says("serving on ")
    await until(lambda: _ready(shell.url), "the service is ready", seconds=60)
    return command


async def _ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
            return response.ok
    except aiohttp.ClientError:
        return False


async def _get_popups(url: str, user: str) -> int:
    """On a connection of its own."""
    async with (
        aiohttp.ClientSession(url, headers=bearer(user)) as session,
        session.get("/v1/popups?placement=home") as response,
    ):
        return response.status


def _workers(command: Command) -> set[int]:
    return {child.pid for child in psutil.Process(command.pid).children()}


async def test_serve_starts_a_killed_worker_again(shell: Shell, database: Database) -> None:
    command = await _serve(shell, database, workers=2)
    async with two_workers(shell.url, user_jwt("ani")):
        before = _workers(command)
    assert len(before) == 2
    killed = min(before)

    os.kill(killed, signal.SIGKILL)

    await command.says(f"(pid {killed}) ended with code -9")
    # At once: the connections that fall to the dead worker wait for its successor, and none is refused.
    answers = await asyncio.gather(*(_get_popups(shell.url, f"user {number}") for number in range(20)))
    assert answers == [200] * 20
    async with two_workers(shell.url, user_jwt("ani")):
        assert len(_workers(command) - {killed}) == 2
    command.signal(signal.SIGTERM)
    assert (await command.ended()).code == 0
    await shell.nothing_left()


async def test_a_stop_under_load_loses_nothing_acknowledged(
    shell: Shell, service: Service, database: Database
) -> None:
    await service.create("sale")
    command = await _serve(shell, database, workers=2)
    acknowledged: list[str] = []
    async with asyncio.TaskGroup() as phones:
        for number in range(_PHONES):
            phones.create_task(_tell_until_it_stops(shell.url, f"user {number}", acknowledged))
        await until(lambda: len(acknowledged) >= _ACKNOWLEDGED_BEFORE_THE_STOP, "it is under load")
        command.signal(signal.SIGTERM)
        ended = await command.ended()

    assert ended.code == 0, ended.err
    await shell.nothing_left()
    await database.merge()
    primary = await database.primary()
    logged = await primary.fetch("SELECT impression_id FROM impressions")
    signer = TokenSigner((TOKEN_SECRET,))
    told = {UUID(bytes=signer.verify(token).impression_id) for token in acknowledged}
    assert len(told) == len(acknowledged)
    assert told <= {UUID(str(row["impression_id"])) for row in logged}


async def _tell_until_it_stops(url: str, user: str, acknowledged: list[str]) -> None:
    """Fetch and confirm, until the service is gone."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(url, headers=bearer(user), timeout=timeout) as session:
        while True:
            try:
                async with session.get("/v1/popups?placement=home") as response:
                    popups: list[dict[str, Any]] = (await response.json())["popups"]
                token = popups[0]["token"]
                async with session.post("/v1/impressions", json={"token": token}) as response:
                    if response.status == 202:
                        acknowledged.append(token)
            except (aiohttp.ClientError, TimeoutError):
                return


async def test_a_second_maintain_stands_by_and_takes_over(
    shell: Shell, service: Service, database: Database
) -> None:
    await service.create("sale")
    first = await shell.start("maintain", primary_dsn=database.primary_dsn)
    await first.says("merge: on duty")
    second = await shell.start("maintain", primary_dsn=database.primary_dsn)
    await second.says("merge: another process does it; standing by")

    first.signal(signal.SIGKILL)

    assert (await first.ended()).code == -signal.SIGKILL
    await second.says("merge: on duty")
    await service.show("ani")
    await _merged(database, 1)
    second.signal(signal.SIGTERM)
    assert (await second.ended()).code == 0
    await shell.nothing_left()


@pytest.mark.parametrize("duty", ["merge", "partitions"])
async def test_maintain_survives_the_end_of_its_connection(
    shell: Shell, service: Service, database: Database, duty: str
) -> None:
    await service.create("sale")
    command = await shell.start("maintain", primary_dsn=database.primary_dsn)
    await command.says("merge: on duty")
    await command.says("partitions: on duty")
    primary = await database.primary()

    ended = await primary.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = $1",
        f"tayang {duty}",
    )

    assert len(ended) == 1
    if duty == "merge":
        await command.says("merge: on duty", times=2)
    await service.show("ani")
    await _merged(database, 1)
    command.signal(signal.SIGINT)
    assert (await command.ended()).code == 0
    await shell.nothing_left()


async def _merged(database: Database, impressions: int) -> None:
    primary = await database.primary()

    async def counted() -> bool:
        total = await primary.fetchval("SELECT coalesce(sum(total), 0) FROM user_campaign_counts")
        return bool(total == impressions)

    await until(counted, f"{impressions} impressions are merged")
