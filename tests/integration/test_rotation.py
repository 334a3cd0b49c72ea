"""Emptying the buffer: two tables in turn, and no row lost that is committed meanwhile."""

import asyncio
import time

import asyncpg
import pytest

from maintenance import merge as merge_module
from maintenance.merge import merge_once, rotate
from tests.support.buffered import NOON, Event, buffer, counts, waits
from tests.support.database import Database
from tests.support.waiting import until


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def in_table(connection: asyncpg.Connection, table: int) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM impression_buffer_{table}"))


async def active(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT active_buffer FROM merge_ticks"))


async def test_the_tables_are_filled_and_emptied_in_turn(primary: asyncpg.Connection) -> None:
    await buffer(primary, [Event()])
    await merge_once(primary, NOON)
    assert not await rotate(primary), "small: it stays"
    assert (await active(primary), await in_table(primary, 0)) == (0, 1)

    assert not await rotate(primary, min_bytes=1), "left, not emptied: a flusher may still write to it"
    assert (await active(primary), await in_table(primary, 0)) == (1, 1)

    assert await rotate(primary, min_bytes=1)
    assert (await active(primary), await in_table(primary, 0)) == (1, 0)
    assert await primary.fetchval("SELECT pg_relation_size('impression_buffer_0')") == 0
    assert not await rotate(primary, min_bytes=1), "nothing left to do"


async def test_a_table_with_unmerged_rows_is_not_emptied_nor_gone_back_to(
    primary: asyncpg.Connection,
) -> None:
    await buffer(primary, [Event()])
    await rotate(primary, min_bytes=1)
    await buffer(primary, [Event("budi")], instance=2, table=1)

    assert not await rotate(primary, min_bytes=1)
    assert (await active(primary), await in_table(primary, 0)) == (1, 1)

    await merge_once(primary, NOON)
    assert await rotate(primary, min_bytes=1)
    assert (await active(primary), await in_table(primary, 0), await in_table(primary, 1)) == (0, 0, 1)


async def test_a_copy_that_commits_meanwhile_is_not_lost(
    database: Database, primary: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late flusher writes to the table that was left, while it is about to be emptied."""
    monkeypatch.setattr(merge_module, "_LOCK_MILLISECONDS", 10_000)
    await buffer(primary, [Event()])
    await merge_once(primary, NOON)
    await rotate(primary, min_bytes=1)
    flusher = await asyncpg.connect(database.primary_dsn)
    rotating = await asyncpg.connect(database.primary_dsn)

    async with flusher.transaction():
        await buffer(flusher, [Event("late")], first_seq=2, table=0)
        task = asyncio.create_task(rotate(rotating, min_bytes=1))
        await until(lambda: waits(primary, rotating.get_server_pid()), "the rotation waits for the flusher")

    assert await task is False
    assert await in_table(primary, 0) == 2
    assert (await merge_once(primary, NOON)).events == 1
    assert (await counts(primary, "late"))["total"] == 1
    assert await rotate(rotating, min_bytes=1)
    await flusher.close()
    await rotating.close()


async def test_a_flusher_at_work_makes_the_rotation_give_up_within_milliseconds(
    database: Database, primary: asyncpg.Connection
) -> None:
    await buffer(primary, [Event()])
    await merge_once(primary, NOON)
    await rotate(primary, min_bytes=1)
    flusher = await asyncpg.connect(database.primary_dsn)
    async with flusher.transaction():
        await buffer(flusher, [Event("late")], first_seq=2, table=0)
        started = time.perf_counter()
        assert not await rotate(primary, min_bytes=1)
        assert time.perf_counter() - started < 1.0, "the lock time-out is 50 ms"
    await flusher.close()
    assert await in_table(primary, 0) == 2
    assert not primary.is_in_transaction()
    # SET LOCAL: the connection's own time-out is as before.
    assert await primary.fetchval("SHOW lock_timeout") == "0"
