"""Several mergers: one is on duty, others stand by or take turns; and lost connections."""

import asyncio
from datetime import datetime

import asyncpg
import pytest

from maintenance.duty import MERGE_DUTY, MERGE_LOCK
from maintenance.loop import maintain
from maintenance.merge import MergeResult, merge_once, rotate, rows_left
from maintenance.settings import MaintenanceConfig
from tests.support.buffered import NOON, Event, buffer, counts, waits
from tests.support.database import Database
from tests.support.waiting import until


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def test_a_second_merger_stands_by_and_takes_over(
    database: Database, primary: asyncpg.Connection
) -> None:
    config = MaintenanceConfig(primary_dsn=database.primary_dsn, merge_interval_seconds=0.01)
    stops = [asyncio.Event(), asyncio.Event()]

    async def holder() -> int | None:
        pid = await primary.fetchval(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (classid::bigint << 32 | objid::bigint) = $1",
            MERGE_DUTY,
        )
        return None if pid is None else int(pid)

    async def connected() -> int:
        return int(
            await primary.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'tayang merge' AND datname = current_database()"
            )
        )

    first = asyncio.create_task(maintain(config, stops[0]))
    one = await until(holder, "one of them holds the lock")
    second = asyncio.create_task(maintain(config, stops[1]))

    async def both() -> bool:
        return await connected() == 2

    await until(both, "the second one is there")
    await buffer(primary, [Event()])

    async def merged() -> bool:
        return await rows_left(primary) == 0

    await until(merged, "it is merged")
    assert await holder() == one

    stops[0].set()
    await first

    async def taken_over() -> bool:
        return await holder() not in (None, one)

    await until(taken_over, "the second one takes over")
    await buffer(primary, [Event()], first_seq=2)
    await until(merged, "the second one merges")
    stops[1].set()
    await second
    assert (await counts(primary))["total"] == 2


async def test_merges_of_several_processes_take_turns(
    database: Database, primary: asyncpg.Connection
) -> None:
    """`tayang merge` beside `tayang maintain`: the second one sees what the first one has merged."""
    await buffer(primary, [Event(), Event()])
    first, second = [await asyncpg.connect(database.primary_dsn) for _ in range(2)]
    transaction = first.transaction()
    await transaction.start()
    assert (await merge_once(first, NOON)).events == 2

    task = asyncio.create_task(merge_once(second, NOON))
    await until(lambda: waits(primary, second.get_server_pid()), "the second one waits")
    await second_rotation_waits(database, primary)
    await transaction.commit()

    assert (await task).rows == 0
    assert (await counts(primary))["total"] == 2
    await first.close()
    await second.close()


async def second_rotation_waits(database: Database, primary: asyncpg.Connection) -> None:
    """Emptying the buffer takes its turn, too; with a lock time-out it gives up."""
    rotating = await asyncpg.connect(database.primary_dsn, server_settings={"lock_timeout": "20ms"})
    assert await primary.fetchval("SELECT pg_try_advisory_xact_lock($1)", MERGE_LOCK) is False
    with pytest.raises(asyncpg.LockNotAvailableError):
        await rotate(rotating, min_bytes=1)
    await rotating.close()


async def test_the_loop_survives_the_loss_of_its_connection(
    database: Database, primary: asyncpg.Connection
) -> None:
    stop = asyncio.Event()
    config = MaintenanceConfig(primary_dsn=database.primary_dsn, merge_interval_seconds=0.01)
    running = asyncio.create_task(maintain(config, stop))

    async def terminated() -> bool:
        return bool(
            await primary.fetchval(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'tayang merge' AND datname = current_database()"
            )
        )

    await until(terminated, "its backend is terminated")
    await buffer(primary, [Event()])

    async def merged() -> bool:
        return running.done() or await rows_left(primary) == 0

    await until(merged, "it merges again, or it has ended")
    stop.set()
    await running
    assert (await counts(primary))["total"] == 1


async def test_the_loop_survives_whatever_the_driver_makes_of_a_lost_connection(
    database: Database, primary: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FATAL that arrives between two statements makes asyncpg raise an InternalClientError at the next."""
    failures = [
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError(),
        TimeoutError(),
    ]

    async def failing_at_first(connection: asyncpg.Connection, now: datetime) -> MergeResult:
        if failures:
            raise failures.pop(0)
        return await merge_once(connection, now)

    monkeypatch.setattr("maintenance.loop.merge_once", failing_at_first)
    monkeypatch.setattr("maintenance.loop._RECONNECT_MAX_SECONDS", 0.05)
    await buffer(primary, [Event()])
    stop = asyncio.Event()
    config = MaintenanceConfig(primary_dsn=database.primary_dsn, merge_interval_seconds=0.01)
    running = asyncio.create_task(maintain(config, stop))

    async def merged() -> bool:
        return running.done() or await rows_left(primary) == 0

    await until(merged, "it merges, or it has ended")
    stop.set()
    await running
    assert await rows_left(primary) == 0
