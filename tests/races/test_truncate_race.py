"""Emptying a buffer table: the race is real without the guard, and gone with it.

The guard: take the table's lock, *then* look for unmerged rows, then TRUNCATE.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from buffer.contract import BUFFER_TABLES
from maintenance import merge as merge_module
from maintenance.duty import statement
from maintenance.merge import merge_once, rotate
from tests.support.buffered import NOON, Event, buffer
from tests.support.database import Database
from tests.support.waiting import until

IDLE = BUFFER_TABLES[0]
ROUNDS = 8
COPIES_A_ROUND = 12

Meanwhile = Callable[[], Awaitable[None]]


async def empty_unguarded(connection: asyncpg.Connection, meanwhile: Meanwhile) -> bool:
    """Look, then TRUNCATE, which takes its lock by itself: between the two a COPY can commit."""
    async with connection.transaction():
        if await connection.fetchval(statement("unmerged_in")):
            return False
        await meanwhile()
        await connection.execute(f"TRUNCATE {IDLE}")
    return True


async def lost_rows(connection: asyncpg.Connection, sent: int) -> int:
    """Rows that are neither in the log nor on their way to it."""
    await merge_once(connection, NOON)
    return sent - int(await connection.fetchval("SELECT count(*) FROM impressions"))


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    """One merged row lies in the idle table; everybody should write to the other one."""
    connection = await database.primary()
    await buffer(connection, [Event()])
    await merge_once(connection, NOON)
    await rotate(connection, min_bytes=1)
    return connection


async def test_without_the_guard_a_row_committed_in_between_is_lost(
    database: Database, primary: asyncpg.Connection
) -> None:
    flusher = await asyncpg.connect(database.primary_dsn)

    async def copy() -> None:
        await buffer(flusher, [Event("late")], first_seq=2)

    assert await empty_unguarded(primary, copy)
    assert await lost_rows(primary, sent=2) == 1
    await flusher.close()


async def test_with_the_guard_a_row_committed_while_it_waits_for_the_lock_is_kept(
    database: Database, primary: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same interleaving: not there when the rotation begins, there when it has the lock."""
    monkeypatch.setattr(merge_module, "_LOCK_MILLISECONDS", 10_000)
    flusher = await asyncpg.connect(database.primary_dsn)
    rotating = await asyncpg.connect(database.primary_dsn)
    async with flusher.transaction():
        await buffer(flusher, [Event("late")], first_seq=2)
        task = asyncio.create_task(rotate(rotating, min_bytes=1))

        async def blocked() -> bool:
            pid = rotating.get_server_pid()
            return bool(
                await primary.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted"
                    " AND mode = 'AccessExclusiveLock' AND relation = $2::text::regclass)",
                    pid,
                    IDLE,
                )
            )

        await until(blocked, "the rotation waits for the flusher")
    assert await task is False
    assert await lost_rows(primary, sent=2) == 0
    await flusher.close()
    await rotating.close()


async def test_with_the_guard_nobody_commits_between_the_look_and_the_truncate(
    database: Database, primary: asyncpg.Connection
) -> None:
    """While the rotation holds the lock, a COPY waits, and lands in the emptied table."""
    flusher = await asyncpg.connect(database.primary_dsn)
    copying: asyncio.Task[None] | None = None
    async with primary.transaction():
        assert await rotate(primary, min_bytes=1)
        copying = asyncio.create_task(buffer(flusher, [Event("late")], first_seq=2))
        watching = await asyncpg.connect(database.primary_dsn)

        async def blocked() -> bool:
            statement = "SELECT cardinality(pg_blocking_pids($1)) > 0"
            return bool(await watching.fetchval(statement, flusher.get_server_pid()))

        await until(blocked, "the flusher waits for the rotation")
        await watching.close()
    await copying
    assert await lost_rows(primary, sent=2) == 0
    await flusher.close()


async def test_under_fire_nothing_is_lost(database: Database, primary: asyncpg.Connection) -> None:
    """A flusher that writes now to one table, now to the other, against merges and rotations."""
    flusher = await asyncpg.connect(database.primary_dsn)
    sent = 1
    emptied = 0

    async def copies(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            await buffer(flusher, [Event(f"user {sent}")], first_seq=sent + 1, table=sent % 2)
            sent += 1

    for _ in range(ROUNDS):
        copying = asyncio.create_task(copies(COPIES_A_ROUND))
        while not copying.done():
            await merge_once(primary, NOON)
            emptied += await rotate(primary, min_bytes=1)
        await copying
        await merge_once(primary, NOON)
        # Nobody writes now, so the idle table is emptied for certain.
        emptied += await rotate(primary, min_bytes=1)
        emptied += await rotate(primary, min_bytes=1)
    assert emptied >= ROUNDS
    assert await lost_rows(primary, sent) == 0
    await flusher.close()
