"""A merge is one transaction (I4): killed anywhere, it leaves nothing half done."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from maintenance.merge import merge_once
from tests.support.buffered import NOON, Event, buffer, counts, waits, watermarks
from tests.support.database import Database
from tests.support.waiting import until


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def state(connection: asyncpg.Connection) -> list[list[asyncpg.Record]]:
    """Everything that a merge writes."""
    return [
        await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in (
            "impressions",
            "user_campaign_counts",
            "campaign_daily_counts",
            "campaign_frequency",
            "buffer_watermarks",
            "merge_ticks",
            "impression_quarantine",
        )
    ]


@pytest.mark.parametrize(
    "blocker",
    [
        "INSERT INTO impressions VALUES ($1, 1, 'ani', 1, 'a', now())",
        "INSERT INTO impression_quarantine VALUES (1, 1, $2, 1, 'old', 1, 'a', now(), now())",
        "SELECT FROM user_campaign_counts FOR UPDATE",
        # The rows of the next merge's stripe.
        """
        INSERT INTO campaign_daily_counts (day, campaign_id, variant, kind, stripe, events, new_users)
        SELECT day, campaign_id, variant, kind, tick % 64, 0, 0 FROM campaign_daily_counts, merge_ticks
        """,
        """
        INSERT INTO campaign_frequency (campaign_id, times, stripe, users)
        SELECT 1, 2, tick % 64, 0 FROM merge_ticks
        """,
        "SELECT FROM buffer_watermarks FOR UPDATE",
        "SELECT FROM merge_ticks FOR UPDATE",
    ],
    ids=["log", "quarantine", "counts", "daily counts", "frequency", "watermarks", "tick"],
)
async def test_a_merge_that_is_killed_midway_leaves_nothing_half_done(
    database: Database, primary: asyncpg.Connection, blocker: str
) -> None:
    """Held up by a row that another transaction has written or locked, its backend is terminated there."""
    await buffer(primary, [Event()])
    await merge_once(primary, NOON)
    new, old = Event(), Event("old", id=UUID(int=0))
    await buffer(primary, [new, old], first_seq=2)
    before = await state(primary)
    merging = await asyncpg.connect(database.primary_dsn)
    blocking = await asyncpg.connect(database.primary_dsn)
    transaction = blocking.transaction()
    await transaction.start()
    await blocking.execute(blocker.replace("$1", f"'{new.id}'").replace("$2", f"'{old.id}'"))

    task = asyncio.create_task(merge_once(merging, NOON))
    pid = merging.get_server_pid()
    await until(lambda: waits(primary, pid), "the merge waits in the middle")
    await primary.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await task
    await transaction.rollback()
    await blocking.close()

    assert await state(primary) == before
    result = await merge_once(primary, NOON)
    assert (result.rows, result.events, result.quarantined) == (2, 1, 1)
    assert (await counts(primary))["total"] == 2
    assert await watermarks(primary) == {1: 3}


async def test_a_merge_that_is_killed_before_its_commit_leaves_nothing_half_done(
    database: Database, primary: asyncpg.Connection
) -> None:
    """All statements are done; what they wrote is not committed."""
    await buffer(primary, [Event(), Event("budi")])
    before = await state(primary)
    merging = await asyncpg.connect(database.primary_dsn)
    transaction = merging.transaction()
    await transaction.start()
    assert (await merge_once(merging, NOON)).events == 2  # as a savepoint in our transaction
    await primary.execute("SELECT pg_terminate_backend($1)", merging.get_server_pid())
    await until(merging.is_closed, "the merging connection is gone")

    assert await state(primary) == before
    assert (await merge_once(primary, NOON)).events == 2
