"""Partitions: made ahead, dropped behind, and what an interrupted run left is finished by the next one."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from maintenance import partitions as partitions_module
from maintenance.loop import maintain
from maintenance.merge import merge_once
from maintenance.partitions import (
    DAYS_AHEAD,
    PartitionResult,
    bounds,
    first_id_of,
    keep_partitions,
    partitions_of,
)
from maintenance.settings import MaintenanceConfig
from tests.support.buffered import NOON, Event, buffer, impression_id
from tests.support.database import Database
from tests.support.waiting import until

TODAY = NOON.date()
DAY = timedelta(days=1)


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def keep(connection: asyncpg.Connection, today: date, log_days: int = 35) -> PartitionResult:
    return await keep_partitions(connection, today, log_days=log_days, daily_count_days=800)


async def days_of(connection: asyncpg.Connection) -> list[str]:
    return [part.name.removeprefix("impressions_") for part in await partitions_of(connection, "impressions")]


async def tables(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r'")
    return {row["relname"] for row in rows}


def names(first: date, last: date) -> list[str]:
    return [f"{first + n * DAY:%Y%m%d}" for n in range((last - first).days + 1)]


async def drop_all(connection: asyncpg.Connection) -> None:
    for parent in ("impressions", "campaign_daily_counts"):
        for part in await partitions_of(connection, parent):
            await connection.execute(f"DROP TABLE {part.name}")


async def test_the_week_to_come_and_the_months_to_come_are_there(primary: asyncpg.Connection) -> None:
    await drop_all(primary)
    today = date(2026, 12, 31)

    result = await keep(primary, today)

    assert result == PartitionResult(created=9 + 4, dropped=0)
    assert await days_of(primary) == names(today - DAY, today + DAYS_AHEAD * DAY)
    months = await partitions_of(primary, "campaign_daily_counts")
    assert [(part.lower, part.upper) for part in months] == [
        ("2026-11-01", "2026-12-01"),
        ("2026-12-01", "2027-01-01"),
        ("2027-01-01", "2027-02-01"),
        ("2027-02-01", "2027-03-01"),
    ]
    limits = await bounds(primary)
    assert limits.ids == [first_id_of(today - DAY), first_id_of(today + 8 * DAY)]
    assert limits.midnights == [datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)]
    assert await keep(primary, today) == PartitionResult(0, 0), "once"


async def test_a_gap_between_partitions_parts_the_bounds(primary: asyncpg.Connection) -> None:
    await drop_all(primary)
    await keep(primary, date(2026, 3, 10))
    await keep(primary, date(2026, 3, 20))
    assert (await bounds(primary)).ids == [first_id_of(date(2026, 3, day)) for day in (9, 18, 19, 28)]
    await drop_all(primary)
    limits = await bounds(primary)
    assert (limits.ids, limits.midnights) == ([], [])


async def test_bounds_are_days_of_the_impression_ids(primary: asyncpg.Connection) -> None:
    """Midnight belongs to the new day, the millisecond before it to the old one."""
    midnight = NOON.replace(hour=0) + DAY
    for moment, day in ((midnight - timedelta(milliseconds=1), TODAY), (midnight, TODAY + DAY)):
        identity = impression_id(moment)
        await primary.execute("INSERT INTO impressions VALUES ($1, 1, 'ani', 1, 'a', now())", identity)
        found = await primary.fetchval(
            "SELECT tableoid::regclass::text FROM impressions WHERE impression_id = $1", identity
        )
        assert found == f"impressions_{day:%Y%m%d}"


async def test_a_new_partition_has_the_key(primary: asyncpg.Connection) -> None:
    event = impression_id(NOON + 7 * DAY)
    statement = "INSERT INTO impressions VALUES ($1, 1, 'ani', 1, 'a', now())"
    await primary.execute(statement, event)
    with pytest.raises(asyncpg.UniqueViolationError):
        await primary.execute(statement, event)


async def test_days_behind_the_retention_are_dropped_and_no_others(primary: asyncpg.Connection) -> None:
    await buffer(primary, [Event()])
    await merge_once(primary, NOON)
    before = await days_of(primary)
    later = TODAY + 3 * DAY

    result = await keep(primary, later, log_days=2)

    assert result.dropped == sum(name < f"{TODAY + DAY:%Y%m%d}" for name in before)
    assert (await days_of(primary))[0] == f"{TODAY + DAY:%Y%m%d}", "2 whole days before that day are kept"
    assert not await tables(primary) & {f"impressions_{name}" for name in names(TODAY - DAY, TODAY)}
    assert await primary.fetchval("SELECT count(*) FROM impressions") == 0
    await buffer(primary, [Event()], first_seq=2)
    assert (await merge_once(primary, NOON)).quarantined == 1, "the merge knows the new bounds"


async def test_old_months_of_daily_counts_are_dropped(primary: asyncpg.Connection) -> None:
    await drop_all(primary)
    await keep_partitions(primary, date(2026, 3, 15), log_days=35, daily_count_days=800)
    await keep_partitions(primary, date(2026, 8, 15), log_days=35, daily_count_days=90)
    months = [part.lower for part in await partitions_of(primary, "campaign_daily_counts")]
    assert months == ["2026-05-01", "2026-07-01", "2026-08-01", "2026-09-01", "2026-10-01"]


async def test_partitions_are_made_beside_readers_and_writers(
    database: Database, primary: asyncpg.Connection
) -> None:
    """Open transactions that have read and written the tables hold nobody up, and are not held up."""
    busy = await asyncpg.connect(database.primary_dsn)
    async with busy.transaction():
        await buffer(busy, [Event()])
        await merge_once(busy, NOON)
        await busy.fetch("SELECT * FROM impressions")
        result = await keep(primary, TODAY + 20 * DAY)
        assert result.created > 0
        await buffer(busy, [Event()], first_seq=2)
        assert (await merge_once(busy, NOON)).events == 1
    await busy.close()


async def test_a_detach_that_was_interrupted_is_finished_by_the_next_run(
    database: Database, primary: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions_module, "_LOCK_TIMEOUT", "100ms")
    old = f"impressions_{TODAY - DAY:%Y%m%d}"
    reader = await asyncpg.connect(database.primary_dsn)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM impressions")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await keep(primary, TODAY, log_days=0)
        detaching = [part.name for part in await partitions_of(primary, "impressions") if part.detaching]
        assert detaching == [old], "half done"
        await buffer(primary, [Event(), Event("yesterday", id=impression_id(NOON - DAY))])
        result = await merge_once(primary, NOON)
        assert (result.events, result.quarantined) == (1, 1), "the merge takes it for gone"
    await reader.close()

    result_of_next = await keep(primary, TODAY, log_days=0)

    assert result_of_next.dropped == 1
    assert old not in await tables(primary)
    assert (await days_of(primary))[0] == f"{TODAY:%Y%m%d}"


async def test_a_detached_table_that_was_not_dropped_is_dropped_by_the_next_run(
    primary: asyncpg.Connection,
) -> None:
    old = f"impressions_{TODAY - DAY:%Y%m%d}"
    await primary.execute(f"ALTER TABLE impressions DETACH PARTITION {old}")
    await primary.execute("CREATE TABLE impressions_notes (note text)")
    await primary.execute("CREATE TABLE impressions_2026 (note text)")

    result = await keep(primary, TODAY + DAY, log_days=0)

    assert result.dropped == 2, "the orphan, and today's, which that day keeps no more"
    left = await tables(primary)
    assert old not in left
    assert {"impressions_notes", "impressions_2026"} <= left, "tables of somebody else"


async def test_a_table_that_was_made_and_not_attached_is_attached(primary: asyncpg.Connection) -> None:
    day = TODAY + 8 * DAY
    await primary.execute(f"CREATE TABLE impressions_{day:%Y%m%d} (LIKE impressions)")
    await keep(primary, TODAY + DAY)
    assert (await days_of(primary))[-1] == f"{day:%Y%m%d}"


async def test_two_processes_make_each_partition_once(
    database: Database, primary: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await drop_all(primary)
    stop = asyncio.Event()
    config = MaintenanceConfig(primary_dsn=database.primary_dsn)
    running = [asyncio.create_task(maintain(config, stop)) for _ in range(3)]

    async def there() -> bool:
        return (
            len(await days_of(primary)) == 9
            and len(await partitions_of(primary, "campaign_daily_counts")) == 4
        )

    await until(there, "all partitions are there")
    stop.set()
    await asyncio.gather(*running)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


async def test_merging_goes_on_while_partitions_come_and_go(
    database: Database, primary: asyncpg.Connection
) -> None:
    merging = await asyncpg.connect(database.primary_dsn)
    stop = asyncio.Event()
    merged = 0

    async def merge() -> None:
        nonlocal merged
        while not stop.is_set():
            await buffer(merging, [Event(f"user {merged}")], first_seq=merged + 1)
            merged += (await merge_once(merging, NOON)).events

    task = asyncio.create_task(merge())
    for days in range(1, 12):
        await keep(primary, TODAY + days * DAY, log_days=days)
    stop.set()
    await task
    await merging.close()
    assert merged > 0
    assert await primary.fetchval("SELECT count(*) FROM impressions") == merged
    assert (await days_of(primary))[-1] == f"{TODAY + 18 * DAY:%Y%m%d}"
