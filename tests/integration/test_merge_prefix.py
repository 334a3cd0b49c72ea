"""The merge takes a prefix of each instance (I6), and lays aside what fits no partition."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from maintenance import merge as merge_module
from maintenance.merge import merge_all, merge_once, rows_left
from maintenance.partitions import first_id_of
from tests.support.buffered import NOON, Event, buffer, counts, impression_id, watermarks
from tests.support.database import Database


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def test_events_that_fit_no_partition_are_kept_aside_and_stop_nothing(
    primary: asyncpg.Connection,
) -> None:
    long_ago, far_ahead = NOON - timedelta(days=400), NOON + timedelta(days=400)
    strange = [
        Event("old id", id=impression_id(long_ago)),
        Event("new id", id=impression_id(far_ahead)),
        Event("zero", id=UUID(int=0)),
        Event("most", id=UUID(int=2**128 - 1)),
        Event("old time", occurred_at=long_ago),
        Event("new time", occurred_at=far_ahead),
    ]
    await buffer(primary, [*strange, Event(), strange[0]])

    result = await merge_once(primary, NOON)

    assert (result.rows, result.events, result.quarantined, result.duplicates) == (8, 1, 6, 0)
    assert (await counts(primary))["total"] == 1
    kept = await primary.fetch("SELECT user_id, quarantined_at FROM impression_quarantine")
    assert sorted(row["user_id"] for row in kept) == sorted(event.user_id for event in strange)
    assert {row["quarantined_at"] for row in kept} == {NOON}
    assert await rows_left(primary) == 0
    assert await primary.fetchval("SELECT count(*) FROM user_campaign_counts") == 1


async def test_an_event_of_a_day_without_a_partition_between_others_stops_nothing(
    primary: asyncpg.Connection,
) -> None:
    """Maintenance that was away for longer than it creates ahead leaves a gap behind."""
    day = NOON.date() + timedelta(days=3)
    await primary.execute(f"DROP TABLE impressions_{day:%Y%m%d}")
    in_the_gap = UUID(int=first_id_of(day).int + 1)
    await buffer(primary, [Event(), Event("gap", id=in_the_gap), Event("budi")])

    result = await merge_once(primary, NOON)

    assert (result.rows, result.events, result.quarantined) == (3, 2, 1)


async def test_without_any_partition_everything_is_kept_aside(primary: asyncpg.Connection) -> None:
    for parent in ("impressions", "campaign_daily_counts"):
        for row in await primary.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass", parent
        ):
            await primary.execute(f"DROP TABLE {row['name']}")
    await buffer(primary, [Event()])
    assert (await merge_once(primary, NOON)).quarantined == 1


async def test_a_merge_takes_at_most_so_many_rows_of_an_instance_oldest_first(
    primary: asyncpg.Connection,
) -> None:
    await buffer(primary, [Event("late")] * 3, first_seq=4, table=1)
    await buffer(primary, [Event("early"), Event("early"), Event("early")], first_seq=1)
    await buffer(primary, [Event("other")], instance=2, first_seq=9)

    first = await merge_once(primary, NOON, max_rows=2)
    assert first.rows == 3, "two of instance 1 and the one of instance 2"
    assert await watermarks(primary) == {1: 2, 2: 9}
    assert await rows_left(primary) == 4
    assert await primary.fetchval("SELECT count(*) FROM impressions WHERE user_id = 'late'") == 0

    assert (await merge_once(primary, NOON, max_rows=2)).rows == 2
    assert await watermarks(primary) == {1: 4, 2: 9}
    assert (await merge_once(primary, NOON, max_rows=2)).rows == 2
    assert (await merge_once(primary, NOON, max_rows=2)).rows == 0
    assert await watermarks(primary) == {1: 6, 2: 9}
    assert await rows_left(primary) == 0


async def test_rows_at_or_below_the_watermark_are_not_read_again(primary: asyncpg.Connection) -> None:
    await buffer(primary, [Event(), Event()])
    await merge_once(primary, NOON)
    await buffer(primary, [Event("sent again"), Event("sent again"), Event("new")], first_seq=1)
    result = await merge_once(primary, NOON)
    assert (result.rows, result.events) == (1, 1)
    assert await watermarks(primary) == {1: 3}


async def test_merge_all_works_a_backlog_off_and_adds_the_figures_up(
    primary: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_module, "merge_once", partial(merge_once, max_rows=2))
    await buffer(primary, [Event(f"user {n}") for n in range(5)] + [Event("user 0")])
    result = await merge_all(primary, NOON)
    assert (result.rows, result.events, result.rows_left) == (6, 6, 0)
    assert (await merge_all(primary, NOON)).rows == 0


async def test_an_idle_merge_ticks_once_a_second(primary: asyncpg.Connection) -> None:
    async def tick(now: datetime) -> int:
        await merge_once(primary, now)
        return int(await primary.fetchval("SELECT tick FROM merge_ticks"))

    now = datetime.now(UTC) + timedelta(hours=1)
    first = await tick(now)
    assert await tick(now + timedelta(seconds=0.9)) == first
    assert await tick(now + timedelta(seconds=1.1)) == first + 1
    await buffer(primary, [Event()])
    assert await tick(now + timedelta(seconds=1.2)) == first + 2, "with rows at once"
