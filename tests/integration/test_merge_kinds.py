"""What the merge makes of clicks, ghosts, sessions, and of what came late."""

import random
from datetime import datetime, timedelta

import asyncpg
import pytest

from buffer.contract import (
    KIND_CLICK,
    KIND_CONVERT,
    KIND_DISMISS,
    KIND_GHOST,
    KIND_GHOST_CONVERT,
    KIND_SERVED,
)
from maintenance.merge import merge_once
from tests.support.buffered import NOON, Event, buffer, counts, impression_id
from tests.support.counted import disagreements
from tests.support.database import Database

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


class Merging:
    """Merges batch after batch of one process; after each the counts agree with the log."""

    def __init__(self, primary: asyncpg.Connection) -> None:
        self._primary = primary
        self._seq = 0

    async def __call__(self, *events: Event) -> None:
        await buffer(self._primary, events, first_seq=self._seq + 1)
        self._seq += len(events)
        await merge_once(self._primary, NOON)
        assert await disagreements(self._primary) == []


@pytest.fixture
def merging(primary: asyncpg.Connection) -> Merging:
    return Merging(primary)


async def new_users(primary: asyncpg.Connection) -> dict[int, int]:
    rows = await primary.fetch("SELECT kind, sum(new_users) AS n FROM campaign_daily_counts GROUP BY kind")
    return {row["kind"]: int(row["n"]) for row in rows}


# Sessions.


def at(minutes: int, session: int = 0, **changes: object) -> Event:
    return Event(occurred_at=NOON + minutes * MINUTE, session=session).as_(**changes)


async def pairs(primary: asyncpg.Connection) -> list[tuple[int, int]]:
    row = await counts(primary)
    assert row["sessions"] is not None
    assert len(row["sessions"]) == len(row["recent"])
    times = [(each - NOON) // MINUTE for each in row["recent"]]
    return list(zip(times, row["sessions"], strict=True))


async def test_sessions_stand_beside_the_times(primary: asyncpg.Connection, merging: Merging) -> None:
    await merging(at(10))
    assert (await counts(primary))["sessions"] is None
    await merging(at(20, 7), at(30))
    assert await pairs(primary) == [(30, 0), (20, 7), (10, 0)]
    await merging(at(40))
    assert await pairs(primary) == [(40, 0), (30, 0), (20, 7), (10, 0)]
    await merging(at(15, -(2**31)), at(35, 9))
    assert await pairs(primary) == [(40, 0), (35, 9), (30, 0), (20, 7), (15, -(2**31)), (10, 0)]


async def test_a_click_leaves_times_and_sessions_alone(primary: asyncpg.Connection, merging: Merging) -> None:
    await merging(at(10, 7))
    await merging(at(20, 9, kind=KIND_CLICK))
    assert await pairs(primary) == [(10, 7)]


async def test_sessions_are_cut_with_the_times_and_then_are_none(
    primary: asyncpg.Connection, merging: Merging
) -> None:
    await merging(at(0, 7), at(1))
    await merging(*(at(n) for n in range(2, 64)))
    assert (await pairs(primary))[-1] == (0, 7)
    await merging(at(64))
    assert len((await counts(primary))["recent"]) == 64
    assert (await counts(primary))["sessions"] is None, "no impression that is kept had one"


async def test_more_than_64_of_one_merge(primary: asyncpg.Connection, merging: Merging) -> None:
    await merging(*(at(n, session=1 if n < 6 else 0) for n in range(70)))
    row = await counts(primary)
    assert (row["sessions"], row["total"], len(row["recent"])) == (None, 70, 64)
    assert row["first_at"] == NOON
    await merging(*(at(n, session=n) for n in range(70, 140)))
    assert await pairs(primary) == [(n, n) for n in range(139, 75, -1)]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_order_they_come_in(primary: asyncpg.Connection, merging: Merging, seed: int) -> None:
    """Against a model that sorts all of them."""
    dice = random.Random(seed)
    minutes = dice.sample(range(1000), 90)
    known: list[tuple[int, int]] = []
    while minutes:
        batch = [
            (minutes.pop(), dice.choice((0, 0, 1, 2))) for _ in range(min(len(minutes), dice.randint(1, 9)))
        ]
        known += batch
        await merging(*(at(minute, session) for minute, session in batch))
        kept = sorted(known, reverse=True)[:64]
        if any(session for _, session in kept):
            assert await pairs(primary) == kept
        else:
            assert (await counts(primary))["sessions"] is None


# Kinds.


async def test_ghosts_are_counted_in_the_row_of_the_negative_id(
    primary: asyncpg.Connection, merging: Merging
) -> None:
    ghost = at(1, 5, kind=KIND_GHOST)
    await merging(ghost, at(2, 5, kind=KIND_GHOST))
    await merging(ghost.as_(kind=KIND_GHOST_CONVERT, occurred_at=NOON + 3 * MINUTE))
    row = await counts(primary, campaign_id=-1)
    assert (row["total"], row["conversions"], row["sessions"]) == (2, 1, [5, 5])
    assert row["recent"] == [NOON + 2 * MINUTE, NOON + MINUTE]
    assert row["last_convert_at"] == NOON + 3 * MINUTE
    assert await primary.fetchval("SELECT count(*) FROM user_campaign_counts") == 1, "no row of the real side"
    assert await primary.fetchval("SELECT min(campaign_id) FROM campaign_daily_counts") == 1


async def test_both_sides_of_one_user_do_not_mix(primary: asyncpg.Connection, merging: Merging) -> None:
    shown = Event()
    await merging(shown, shown.as_(kind=KIND_CONVERT), Event(kind=KIND_GHOST), Event(kind=KIND_GHOST))
    real, ghosts = await counts(primary), await counts(primary, campaign_id=-1)
    assert (real["total"], real["conversions"]) == (1, 1)
    assert (ghosts["total"], ghosts["conversions"]) == (2, 0)
    assert await new_users(primary) == {1: 1, 4: 1, 5: 1}


async def test_a_served_mark_only_makes_sure_that_there_is_a_row(
    primary: asyncpg.Connection, merging: Merging
) -> None:
    await merging(Event(kind=KIND_SERVED))
    row = await counts(primary)
    assert (row["total"], row["recent"], row["sessions"], row["first_at"]) == (0, [], None, None)
    await merging(Event(), Event("budi"))
    before = dict(await counts(primary))
    await merging(Event(kind=KIND_SERVED), Event("budi", kind=KIND_SERVED))
    assert dict(await counts(primary)) == before


async def test_a_user_is_served_for_the_first_time_once(
    primary: asyncpg.Connection, merging: Merging
) -> None:
    """Two processes may note it both, when neither knows of the other's mark."""
    await merging(Event(kind=KIND_SERVED), Event(kind=KIND_SERVED), Event("budi", kind=KIND_SERVED))
    assert await new_users(primary) == {KIND_SERVED: 2}
    await merging(Event(kind=KIND_SERVED), Event("citra", kind=KIND_SERVED), Event("citra"))
    assert await new_users(primary) == {KIND_SERVED: 3, 1: 1}
    await merging(Event("dewi"))
    await merging(Event("dewi", kind=KIND_SERVED), Event("dewi", kind=KIND_CLICK))
    assert (await new_users(primary))[KIND_SERVED] == 3, "there was something of dewi before"


async def test_users_are_new_to_each_kind_once(primary: asyncpg.Connection, merging: Merging) -> None:
    kinds = (KIND_CLICK, KIND_DISMISS, KIND_CONVERT, KIND_GHOST, KIND_GHOST_CONVERT)
    for kind in kinds:
        await merging(Event(kind=kind), Event(kind=kind, variant="b"), Event("budi", kind=kind))
    assert await new_users(primary) == dict.fromkeys(kinds, 2)
    await merging(*(Event(kind=kind) for kind in kinds), Event("citra", kind=KIND_DISMISS))
    assert await new_users(primary) == dict.fromkeys(kinds, 2) | {KIND_DISMISS: 3}


async def test_the_last_conversion_is_kept(primary: asyncpg.Connection, merging: Merging) -> None:
    await merging(at(5, kind=KIND_CONVERT), at(9, kind=KIND_CONVERT))
    await merging(at(7, kind=KIND_CONVERT))
    assert (await counts(primary))["last_convert_at"] == NOON + 9 * MINUTE


async def frequency(primary: asyncpg.Connection, campaign_id: int = 1) -> dict[int, int]:
    rows = await primary.fetch(
        "SELECT times, sum(users)::bigint AS users FROM campaign_frequency WHERE campaign_id = $1"
        " GROUP BY times HAVING sum(users) <> 0",
        campaign_id,
    )
    return {row["times"]: row["users"] for row in rows}


async def test_users_move_from_seldom_to_often(primary: asyncpg.Connection, merging: Merging) -> None:
    """After each merge `merging` compares with the log, too."""
    await merging(Event(), Event("budi"), Event("citra", campaign_id=2))
    assert await frequency(primary) == {1: 2}
    await merging(Event(), Event(), Event("dewi"), Event("dewi"))
    assert await frequency(primary) == {1: 1, 2: 1, 3: 1}
    await merging(Event("budi"), Event("dewi", kind=KIND_CLICK), Event("eka", kind=KIND_GHOST))
    assert await frequency(primary) == {2: 2, 3: 1}
    await merging(Event("eka", kind=KIND_SERVED), Event("eka", kind=KIND_DISMISS))
    await merging(Event("eka"))
    assert await frequency(primary) == {1: 1, 2: 2, 3: 1}
    assert await frequency(primary, 2) == {1: 1}
    assert await frequency(primary, -1) == {}


async def test_from_64_times_on_users_stay_where_they_are(
    primary: asyncpg.Connection, merging: Merging
) -> None:
    await merging(*(at(n) for n in range(63)))
    assert await frequency(primary) == {63: 1}
    await merging(at(63), at(64))
    await merging(at(65), *(Event("budi") for _ in range(70)))
    assert await frequency(primary) == {64: 2}


async def test_late_events_count_and_are_marked(primary: asyncpg.Connection, merging: Merging) -> None:
    await merging(at(1), at(2, late=True), at(3, late=True, kind=KIND_CLICK))
    await merging(at(4, late=True))
    assert (await counts(primary))["total"] == 3
    rows = await primary.fetch(
        "SELECT kind, sum(events), sum(late_events) FROM campaign_daily_counts GROUP BY kind ORDER BY kind"
    )
    assert [tuple(row) for row in rows] == [(1, 3, 2), (2, 1, 1)]
    assert await primary.fetchval("SELECT count(*) FROM impressions WHERE late") == 3


async def test_quarantine_keeps_session_and_lateness(primary: asyncpg.Connection) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=NOON.tzinfo)
    await buffer(primary, [Event(id=impression_id(long_ago), session=-7, late=True)])
    assert (await merge_once(primary, NOON)).quarantined == 1
    row = await primary.fetchrow("SELECT session, late, quarantined_at FROM impression_quarantine")
    assert row is not None
    assert tuple(row) == (-7, True, NOON)
