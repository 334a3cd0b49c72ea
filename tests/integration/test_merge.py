"""The merge counts each event once (I2), and what it counts."""

from datetime import datetime, timedelta

import asyncpg
import pytest

from maintenance.merge import merge_once
from tests.support.buffered import NOON, Event, buffer, counts, daily
from tests.support.database import Database

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
    assert kinds == {1: (1, 1), 2: (2, 1), 3: (1, 1), 4: (1, 1)}, "new to each kind once"


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


async def test_64_merges_in_turn_add_to_rows_of_their_own(primary: asyncpg.Connection) -> None:
    """While a report holds a snapshot open, each merge walks past the versions of all those before it."""
    for number in range(1, 66):
        await buffer(primary, [Event(f"user-{number}")], first_seq=number)
        await merge_once(primary, NOON)
    added = [1] * 63 + [2]
    events = await primary.fetch("SELECT events FROM campaign_daily_counts ORDER BY events")
    assert [row["events"] for row in events] == added
    users = await primary.fetch("SELECT users FROM campaign_frequency WHERE times = 1 ORDER BY users")
    assert [row["users"] for row in users] == added
    assert [row[4:] for row in await daily(primary)] == [(65, 65)]
