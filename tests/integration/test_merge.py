"""The merge: once each (I2), all or nothing (I4), a prefix of each instance (I6); and emptying the buffer."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from maintenance import merge as merge_module
from maintenance.duty import MERGE_DUTY, MERGE_LOCK
from maintenance.loop import maintain
from maintenance.merge import merge_all, merge_once, rotate, rows_left
from maintenance.partitions import first_id_of
from maintenance.settings import MaintenanceConfig
from tests.support.buffered import NOON, Event, buffer, counts, daily, impression_id
from tests.support.database import Database
from tests.support.waiting import until

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def new_campaign(connection: asyncpg.Connection, number: int, timezone: str) -> None:
    await connection.execute(
        "INSERT INTO campaigns (id, key, name, status, priority, placement, timezone, schedule, audience,"
        " caps, variants) VALUES ($1, $2, 'C', 'live', 1, 'home', $3, '[]', 'everyone', '[]', '[]')",
        number,
        f"c{number}",
        timezone,
    )


async def state(connection: asyncpg.Connection) -> list[list[asyncpg.Record]]:
    """Everything that a merge writes."""
    return [
        await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in (
            "impressions",
            "user_campaign_counts",
            "campaign_daily_counts",
            "buffer_watermarks",
            "merge_ticks",
            "impression_quarantine",
        )
    ]


# I2: nothing is counted twice.


async def test_duplicates_in_one_merge_count_once(primary: asyncpg.Connection) -> None:
    event = Event()
    await buffer(primary, [event, event, Event(), event])
    await buffer(primary, [event], instance=2, table=1)

    result = await merge_once(primary, NOON)

    assert (result.rows, result.events, result.duplicates, result.quarantined) == (5, 2, 3, 0)
    assert (await counts(primary))["total"] == 2
    assert sum(int(str(row[4])) for row in await daily(primary)) == 2


async def test_duplicates_across_merges_count_once(primary: asyncpg.Connection) -> None:
    event = Event()
    await buffer(primary, [event])
    await merge_once(primary, NOON)
    before = [dict(await counts(primary)), await daily(primary)]
    later = event.as_(occurred_at=NOON + MINUTE)

    await buffer(primary, [event, later], first_seq=2)
    await buffer(primary, [later], instance=2)
    result = await merge_once(primary, NOON)

    assert (result.rows, result.events, result.duplicates, result.users) == (3, 0, 3, 0)
    assert [dict(await counts(primary)), await daily(primary)] == before


async def test_the_same_id_of_another_user_or_kind_is_another_event(primary: asyncpg.Connection) -> None:
    event = Event()
    await buffer(primary, [event, event.as_(user_id="budi"), event.as_(kind=2), event])

    result = await merge_once(primary, NOON)

    assert (result.events, result.duplicates, result.users) == (3, 1, 2)
    assert (await counts(primary))["total"] == 1
    assert (await counts(primary))["clicks"] == 1
    assert (await counts(primary, "budi"))["total"] == 1


async def test_of_duplicates_with_different_times_the_earliest_counts(primary: asyncpg.Connection) -> None:
    event = Event()
    await buffer(primary, [event.as_(occurred_at=NOON + MINUTE), event])
    await merge_once(primary, NOON)
    assert (await counts(primary))["recent"] == [NOON]


# Counts.


async def test_times_out_of_order_are_kept_newest_first(primary: asyncpg.Connection) -> None:
    async def merged(first_seq: int, *minutes: int) -> list[int]:
        events = [Event(occurred_at=NOON + n * MINUTE) for n in minutes]
        await buffer(primary, events, first_seq=first_seq)
        await merge_once(primary, NOON)
        row = await counts(primary)
        assert row["first_at"] == min(row["recent"])
        assert row["last_at"] == row["recent"][0]
        assert row["total"] == len(row["recent"])
        return [(each - NOON) // MINUTE for each in row["recent"]]

    assert await merged(1, 20, 40, 30) == [40, 30, 20]
    assert await merged(4, 25, 10) == [40, 30, 25, 20, 10], "from a phone that was offline"
    assert await merged(6, 50, 35) == [50, 40, 35, 30, 25, 20, 10]
    assert await merged(8, 50) == [50, 50, 40, 35, 30, 25, 20, 10]


async def test_of_more_than_64_times_the_newest_64_are_kept(primary: asyncpg.Connection) -> None:
    def newest(count: int) -> list[datetime]:
        return [NOON + n * MINUTE for n in range(count - 1, count - 65, -1)]

    await buffer(primary, [Event(occurred_at=NOON + n * MINUTE) for n in range(70)])
    await merge_once(primary, NOON)
    assert (await counts(primary))["recent"] == newest(70)

    await buffer(primary, [Event(occurred_at=NOON + n * MINUTE) for n in (70, 71)], first_seq=71)
    await merge_once(primary, NOON)
    assert (await counts(primary))["recent"] == newest(72)

    late = [Event(occurred_at=NOON + n * MINUTE) for n in (72, -5, 73)]
    await buffer(primary, late, first_seq=73)
    await merge_once(primary, NOON)
    row = await counts(primary)
    assert row["recent"] == newest(74)
    assert row["total"] == 75
    assert row["first_at"] == NOON - 5 * MINUTE


async def test_clicks_dismissals_and_conversions_have_counters_of_their_own(
    primary: asyncpg.Connection,
) -> None:
    shown = Event()
    click = shown.as_(kind=2, occurred_at=NOON + MINUTE)
    dismiss = shown.as_(kind=3, occurred_at=NOON + 2 * MINUTE)
    convert = shown.as_(kind=4, occurred_at=NOON + 3 * MINUTE)
    await buffer(primary, [click, click])
    await merge_once(primary, NOON)
    row = await counts(primary)
    assert (row["total"], row["recent"], row["last_at"]) == (0, [], None), "the click came first"

    await buffer(primary, [shown, dismiss, convert, Event(kind=2, occurred_at=NOON)], first_seq=3)
    await merge_once(primary, NOON)

    row = await counts(primary)
    assert (row["total"], row["clicks"], row["dismissals"], row["conversions"]) == (1, 2, 1, 1)
    assert (row["recent"], row["first_at"], row["last_at"]) == ([NOON], NOON, NOON)
    assert row["last_click_at"] == NOON + MINUTE, "the later one, whenever it was merged"
    assert row["last_dismiss_at"] == NOON + 2 * MINUTE
    kinds = {row[3]: (row[4], row[5]) for row in await daily(primary)}
    assert kinds == {1: (1, 1), 2: (2, 0), 3: (1, 0), 4: (1, 0)}, "only an impression makes a new user"


async def test_days_are_those_of_the_campaign_s_zone(primary: asyncpg.Connection) -> None:
    await new_campaign(primary, 1, "Asia/Jakarta")
    await new_campaign(primary, 2, "America/New_York")
    today, tomorrow = NOON.date(), NOON.date() + timedelta(days=1)
    last_second_in_jakarta = NOON.replace(hour=16, minute=59, second=59)
    moments = (last_second_in_jakarta, last_second_in_jakarta + timedelta(seconds=1))
    await buffer(primary, [Event(campaign_id=c, occurred_at=each) for c in (1, 2, 3) for each in moments])

    await merge_once(primary, NOON)

    assert await daily(primary) == sorted(
        [
            (str(today), 1, "a", 1, 1, 1),
            (str(tomorrow), 1, "a", 1, 1, 0),
            (str(today), 2, "a", 1, 2, 1),
            (str(today), 3, "a", 1, 2, 1),  # a campaign that is not known: UTC
        ]
    )


async def test_a_user_is_new_to_a_campaign_once(primary: asyncpg.Connection) -> None:
    async def new_users() -> int:
        return int(await primary.fetchval("SELECT sum(new_users) FROM campaign_daily_counts"))

    await buffer(primary, [Event(), Event(), Event("budi"), Event(variant="b", occurred_at=NOON + MINUTE)])
    await merge_once(primary, NOON)
    assert await new_users() == 2
    await buffer(primary, [Event(), Event("citra"), Event(campaign_id=2)], first_seq=5)
    await merge_once(primary, NOON)
    assert await new_users() == 4, "citra, and ani for the other campaign"


async def test_two_impressions_of_one_moment_make_one_new_user(primary: asyncpg.Connection) -> None:
    """Events of one request without occurred_at share their time; their variants may differ."""
    await buffer(primary, [Event(variant="a"), Event(variant="b")])
    await merge_once(primary, NOON)
    assert await primary.fetchval("SELECT sum(new_users) FROM campaign_daily_counts") == 1


# What fits no partition.


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


# I6: the watermark is a prefix.


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


async def watermarks(connection: asyncpg.Connection) -> dict[int, int]:
    rows = await connection.fetch("SELECT instance, seq FROM buffer_watermarks")
    return {row["instance"]: row["seq"] for row in rows}


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


# I4: one transaction.


@pytest.mark.parametrize(
    "blocker",
    [
        "INSERT INTO impressions VALUES ($1, 1, 'ani', 1, 'a', now())",
        "INSERT INTO impression_quarantine VALUES (1, 1, $2, 1, 'old', 1, 'a', now(), now())",
        "SELECT FROM user_campaign_counts FOR UPDATE",
        "SELECT FROM campaign_daily_counts FOR UPDATE",
        "SELECT FROM buffer_watermarks FOR UPDATE",
        "SELECT FROM merge_ticks FOR UPDATE",
    ],
    ids=["log", "quarantine", "counts", "daily counts", "watermarks", "tick"],
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


async def waits(connection: asyncpg.Connection, pid: int) -> bool:
    """Whether the backend waits for a lock."""
    return bool(await connection.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid))


# Emptying the buffer.


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


# Several mergers.


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
        return await rows_left(primary) == 0

    await until(merged, "it merges again")
    assert (await counts(primary))["total"] == 1
    stop.set()
    await running
