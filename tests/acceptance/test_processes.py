"""`tayang serve` and `tayang maintain` as their operators run them, and what becomes of them."""

import asyncio
import os
import signal

import aiohttp
import pytest

from tests.acceptance.phones import two_workers
from tests.acceptance.processes import Shell
from tests.acceptance.serving import serve, workers_of
from tests.support.database import Database
from tests.support.service import Service, bearer, user_jwt
from tests.support.waiting import until


async def _get_popups(url: str, user: str) -> int:
    """On a connection of its own."""
    async with (
        aiohttp.ClientSession(url, headers=bearer(user)) as session,
        session.get("/v1/popups?placement=home") as response,
    ):
        return response.status


async def test_serve_starts_a_killed_worker_again(shell: Shell, database: Database) -> None:
    command = await serve(shell, database, workers=2)
    async with two_workers(shell.url, user_jwt("ani")):
        before = workers_of(command)
    assert len(before) == 2
    killed = min(before)

    os.kill(killed, signal.SIGKILL)

    await command.says(f"(pid {killed}) ended with code -9")
    # At once: the connections that fall to the dead worker wait for its successor, and none is refused.
    answers = await asyncio.gather(*(_get_popups(shell.url, f"user {number}") for number in range(20)))
    assert answers == [200] * 20
    async with two_workers(shell.url, user_jwt("ani")):
        assert len(workers_of(command) - {killed}) == 2
    command.signal(signal.SIGTERM)
    assert (await command.ended()).code == 0
    await shell.nothing_left()


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
