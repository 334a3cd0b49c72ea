"""What `snapshot.sql` sends of a user, and what requests make of it."""

import random
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from api.campaigns.history import CLICK, CONVERT, NEVER_US, History, Seen
from api.read.snapshot import SNAPSHOT
from api.read.stored import StoredHistory
from tests.support.buffered import NOON
from tests.support.database import Database
from tests.support.rows import microseconds

Row = dict[str, Any]
_INSERT = """
INSERT INTO user_campaign_counts (
    user_id, campaign_id, total, clicks, dismissals, conversions, recent, sessions,
    last_click_at, last_dismiss_at, last_convert_at
) VALUES ('ani', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


def row(campaign_id: int, times: int = 0, **changes: Any) -> Row:
    """In the order of the statement's parameters."""
    recent = [NOON - timedelta(hours=n, microseconds=campaign_id) for n in range(times)]
    nothing = dict.fromkeys(("clicks", "dismissals", "conversions"), 0)
    never = dict.fromkeys(("click", "dismiss", "convert"))
    return {
        "id": campaign_id,
        "total": times,
        **nothing,
        "recent": recent,
        "sessions": None,
        **never,
        **changes,
    }


async def stored(primary: asyncpg.Connection, rows: list[Row]) -> StoredHistory:
    for each in rows:
        await primary.execute(_INSERT, *each.values())
    answer = await primary.fetch(SNAPSHOT, 1, ["ani"], [])
    return StoredHistory(answer[1]["counts"], answer[1]["listed"])


def us(moment: datetime | None) -> int:
    return NEVER_US if moment is None else microseconds(moment)


def check(history: History, wanted: Row) -> None:
    recent = [microseconds(each) for each in wanted["recent"]]
    assert history.newest_us(wanted["id"]) == (recent[0] if recent else NEVER_US)
    assert history.kept(wanted["id"]) == len(recent)
    seen = history.of(wanted["id"])
    assert seen is not None
    assert (seen.total, seen.recent_us) == (wanted["total"], recent)
    assert seen.sessions == (wanted["sessions"] or [])
    assert seen.interactions == (wanted["clicks"], wanted["dismissals"], wanted["conversions"])
    assert seen.last_us == (us(wanted["click"]), us(wanted["dismiss"]), us(wanted["convert"]))
    assert history.of(wanted["id"]) is seen
    assert history.newest_us(wanted["id"]) == (recent[0] if recent else NEVER_US)


def some_row(dice: random.Random, campaign_id: int) -> Row:
    times = dice.choice((0, 1, 2, 64))
    changes: Row = {"total": times + dice.choice((0, 2**50))}
    if times and dice.random() < 0.5:
        changes["sessions"] = [dice.choice((0, -(2**31), 2**31 - 1)) for _ in range(times)]
    for kind, number in (("click", "clicks"), ("dismiss", "dismissals"), ("convert", "conversions")):
        if dice.random() < 0.3:
            changes |= {number: dice.randint(1, 2**31 - 1), kind: NOON - timedelta(seconds=dice.random())}
    return row(campaign_id, times, **changes)


@pytest.mark.parametrize("seed", range(5))
async def test_all_that_is_stored_of_a_user_comes_back(primary: asyncpg.Connection, seed: int) -> None:
    dice = random.Random(seed)
    ids = dice.sample([sign * number for number in range(1, 40) for sign in (1, -1)], 40)
    rows = [some_row(dice, campaign_id) for campaign_id in ids]
    history = await stored(primary, rows)

    assert sorted(history.ids()) == sorted(ids)
    dice.shuffle(rows)
    for each in rows:
        check(history, each)
    assert history.of(1000) is None
    assert history.newest_us(1000) == NEVER_US


@pytest.mark.parametrize(
    "last", [row(2), row(2, 1), row(2, 2, sessions=[0, 7]), row(2, clicks=1, click=NOON)]
)
async def test_whatever_stands_at_the_end(primary: asyncpg.Connection, last: Row) -> None:
    history = await stored(primary, [row(1, 3, sessions=[1, 0, 2]), last])
    check(history, last)


async def test_what_is_not_merged_yet_is_added(primary: asyncpg.Connection) -> None:
    known = row(1, 2, sessions=[7, 0], clicks=1, click=NOON)
    history = await stored(primary, [known, row(2, 1)])
    later = microseconds(NOON) + 5
    history.count(1, later, 9)
    history.interact(1, CLICK, later)
    history.interact(-2, CONVERT, later)
    history.mark(3)

    assert sorted(history.ids()) == [-2, 1, 2, 3]
    seen = history.of(1)
    assert seen is not None
    assert (seen.total, seen.sessions, seen.interactions) == (3, [9, 7, 0], (2, 0, 0))
    assert seen.last_us == (later, NEVER_US, NEVER_US)
    assert [history.newest_us(each) for each in (1, 2, -2, 3)] == [
        later,
        microseconds(NOON - timedelta(microseconds=2)),
        NEVER_US,
        NEVER_US,
    ]
    assert isinstance(history.of(3), Seen)


async def test_ids_may_be_looked_at_one_by_one(primary: asyncpg.Connection) -> None:
    history = await stored(primary, [row(1, 1), row(2, 1)])
    assert [history.of(each) is not None for each in history.ids()] == [True, True]
    history.mark(3)
    assert [history.of(each) is not None for each in history.ids()] == [True, True, True]
