"""A DSN with several hosts against real servers: whatever the others do, the primary is found."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from buffer.connection import ConnectionFailedError
from buffer.hosts import split_hosts
from buffer.primary import Primary, connect_to
from tests.support.database import Database
from tests.support.servers import (
    closed_port,
    refusing,
    rejoined,
    several_hosts,
    silent_port,
    suspended,
)
from tests.support.waiting import until

#: Longer than any test: a host that hangs must be passed over long before.
TIMEOUT_SECONDS = 60.0
APPLICATION = "tayang hosts test"


@pytest.fixture(autouse=True)
async def _no_tasks_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    assert not {task for task in asyncio.all_tasks() - before if "connecting" in task.get_name()}


def primary_at(database: Database, *ports: int, timeout_seconds: float = TIMEOUT_SECONDS) -> Primary:
    dsn = several_hosts(database.cluster, database.name, *ports)
    return Primary(dsn, timeout_seconds=timeout_seconds, stagger_seconds=0.05)


async def port_of(primary: Primary) -> int:
    connection = await primary.connect(server_settings={"application_name": APPLICATION})
    try:
        await connection.execute("CREATE TEMPORARY TABLE written ()")
        return int(await connection.fetchval("SELECT inet_server_port()"))
    finally:
        await connection.close()


@pytest.mark.parametrize("first", ["refused", "silent", "standby", "starting up", "hung"])
@pytest.mark.parametrize("seen", [False, True], ids=["at first", "once a primary was seen"])
async def test_the_primary_is_found_behind_a_host_that(database: Database, first: str, seen: bool) -> None:
    cluster = database.cluster
    async with AsyncExitStack() as stack:
        port = cluster.replica.port
        if first == "refused":
            port = closed_port()
        elif first == "silent":
            port = stack.enter_context(silent_port())
        elif first == "starting up":
            await stack.enter_async_context(refusing(cluster, cluster.replica))
        elif first == "hung":
            await stack.enter_async_context(suspended(cluster, cluster.replica))
        primary = primary_at(database, port, cluster.primary.port)
        if seen:
            await primary.look_around(seconds=10 if first not in {"silent", "hung"} else 0.5)
            assert primary.fence.has_seen_a_primary
        async with asyncio.timeout(TIMEOUT_SECONDS / 2):
            assert await port_of(primary) == cluster.primary.port


async def test_rejected_servers_keep_no_connection(database: Database) -> None:
    cluster = database.cluster
    primary = primary_at(database, cluster.replica.port, cluster.primary.port)
    for _ in range(5):
        await port_of(primary)
    replica = await database.replica()

    async def gone() -> bool:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        return not await replica.fetchval(count, APPLICATION)

    await until(gone, "the replica has no connection of ours")


async def test_without_a_primary_the_error_names_what_each_host_said(database: Database) -> None:
    closed = closed_port()
    with silent_port() as silent:
        replica = database.cluster.replica.port
        primary = primary_at(database, closed, replica, silent, timeout_seconds=1.0)
        with pytest.raises(ConnectionFailedError) as caught:
            await primary.connect()
    message = str(caught.value)
    assert f"127.0.0.1:{closed}: " in message
    assert f"127.0.0.1:{replica}: a standby" in message
    assert f"127.0.0.1:{silent}: no answer in time" in message
    assert database.cluster.password not in message
    assert caught.value.sqlstate == "25006"


async def test_a_cancelled_wait_leaves_nothing_behind(database: Database) -> None:
    """`_no_tasks_left` looks."""
    with silent_port() as silent:
        primary = primary_at(database, silent, silent)
        connecting = asyncio.create_task(primary.connect())
        await until(
            lambda: any(task.get_name().startswith("connecting") for task in asyncio.all_tasks()), "it tries"
        )
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


async def test_an_old_primary_is_refused_by_whoever_has_seen_the_new_one(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = database.cluster
    old, new = cluster.primary, cluster.replica
    primary = primary_at(database, old.port, new.port)
    held = await primary.connect()
    async with rejoined(cluster):
        cluster.fail_over("kill")
        assert await port_of(primary) == new.port
        assert held.is_closed()
        old.start()
        with caplog.at_level(logging.CRITICAL):
            for _ in range(2):
                assert await port_of(primary) == new.port
        assert caplog.text.count("stop that server, it was replaced") == 1
        with pytest.raises(ConnectionFailedError, match="a primary that was replaced"):
            await connect_to(split_hosts(old.dsn())[0], primary.fence, timeout_seconds=5)
        alone = primary_at(database, old.port)
        alone.fence = primary.fence
        with pytest.raises(ConnectionFailedError, match="a primary that was replaced"):
            await alone.connect()


async def test_a_process_that_has_seen_no_primary_takes_the_newer_of_two(database: Database) -> None:
    cluster = database.cluster
    old, new = cluster.primary, cluster.replica
    async with rejoined(cluster):
        cluster.fail_over("stop")
        old.start()
        for ports in ((old.port, new.port), (new.port, old.port)):
            primary = primary_at(database, *ports)
            primary._stagger_seconds = 10.0  # however slow the machine is: both have been heard
            assert await port_of(primary) == new.port


async def test_connections_to_a_primary_that_lives_on_are_cut_when_another_is_seen(
    database: Database,
) -> None:
    """Nobody stopped the old one: both take writes, and the process has seen only the old one so far."""
    cluster = database.cluster
    old, new = cluster.primary, cluster.replica
    primary = primary_at(database, old.port, new.port)
    async with rejoined(cluster):
        held = await primary.connect()
        cluster.fail_over("suspend")
        old.resume()
        assert await held.fetchval("SELECT NOT pg_is_in_recovery()")
        await primary.look_around(seconds=10)
        assert held.is_closed()
        assert await port_of(primary) == new.port


async def test_a_standby_may_be_read_by_whoever_has_seen_its_primary(database: Database) -> None:
    cluster = database.cluster
    primary = primary_at(database, cluster.primary.port)
    await port_of(primary)
    replica = await connect_to(split_hosts(database.replica_dsn)[0], primary.fence, timeout_seconds=5)
    assert await replica.fetchval("SELECT pg_is_in_recovery()")
    await replica.close()
