"""The load test's books: they find an event that is lost, unexplained or miscounted, and a cap overshot."""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import psycopg
import pytest

from loadtests.locust.reconcile import Account, Books
from loadtests.locust.record import ACKNOWLEDGED, UNANSWERED
from maintenance.merge import merge_all
from tests.support.buffered import NOON, Event, buffer, impression_id
from tests.support.database import Database

CAMPAIGN = """
    INSERT INTO campaigns (id, key, name, status, priority, placement, timezone, schedule, audience,
                           caps, variants)
    VALUES ($1, $2, $2, 'live', 1, 'home', 'Asia/Jakarta', '[]', 'everyone', $3, '[]')
"""


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    primary = await database.primary()
    await primary.execute(CAMPAIGN, 1, "rolling", '[{"limit": 2, "window": "30m"}]')
    await primary.execute(CAMPAIGN, 2, "calendar", '[{"limit": 1, "window": "day"}]')
    await primary.execute(CAMPAIGN, 3, "lifetime", '[{"limit": 2, "window": "lifetime"}]')
    return primary


@pytest.fixture
def books(database: Database, primary: asyncpg.Connection) -> Iterator[Books]:
    del primary  # the campaigns stand
    with psycopg.connect(database.primary_dsn, autocommit=True) as session:
        yield Books(session)


async def merged(primary: asyncpg.Connection, *events: Event, first_seq: int = 1) -> None:
    await buffer(primary, events, first_seq=first_seq)
    await merge_all(primary, NOON)


def closed(books: Books, acknowledged: list[tuple[UUID, int]], *unanswered: tuple[UUID, int]) -> Account:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for file, entries in ((ACKNOWLEDGED, acknowledged), (UNANSWERED, unanswered)):
            (directory / file).write_bytes(b"".join(id_.bytes + bytes([kind]) for id_, kind in entries))
        return books.close(directory)


def keys(*events: Event) -> list[tuple[UUID, int]]:
    return [(event.id, event.kind) for event in events]


async def test_what_was_acknowledged_is_counted_once(primary: asyncpg.Connection, books: Books) -> None:
    shown = Event()
    click = shown.as_(kind=2)
    await merged(primary, shown, click, Event(user_id="budi"), shown)  # sent again

    account = closed(books, [*keys(shown, click, shown)], *(await others(primary, "budi")))

    assert (account.acknowledgements, account.acknowledged, account.unanswered) == (3, 2, 1)
    assert (account.logged, account.counted) == (3, 3)
    assert (account.missing, account.unexplained, account.wrong_counts, account.caps_overshot) == (0, 0, 0, 0)


async def others(primary: asyncpg.Connection, user: str) -> list[tuple[UUID, int]]:
    rows = await primary.fetch("SELECT impression_id, kind FROM impressions WHERE user_id = $1", user)
    return [(row["impression_id"], row["kind"]) for row in rows]


async def test_a_lost_event_and_one_that_nobody_sent(primary: asyncpg.Connection, books: Books) -> None:
    known, stray = Event(), Event(user_id="budi")
    await merged(primary, known, stray)

    account = closed(books, [*keys(known), (impression_id(NOON), 1)])

    assert (account.missing, account.unexplained, account.wrong_counts) == (1, 1, 0)


async def test_counts_that_grew_by_other_than_the_log_holds(
    primary: asyncpg.Connection, books: Books
) -> None:
    shown = Event()
    await merged(primary, shown)
    await primary.execute("UPDATE user_campaign_counts SET total = total + 1")

    assert closed(books, keys(shown)).wrong_counts == 1


async def test_what_was_counted_before_is_no_growth(database: Database, primary: asyncpg.Connection) -> None:
    await primary.execute(
        "INSERT INTO user_campaign_counts (user_id, campaign_id, total, clicks, dismissals, conversions,"
        " recent) VALUES ('ani', 1, 7, 1, 0, 0, ARRAY[$1::timestamptz])",
        NOON - timedelta(days=3),
    )
    with psycopg.connect(database.primary_dsn, autocommit=True) as session:
        books = Books(session)
        shown = Event()
        await merged(primary, shown)

        assert closed(books, keys(shown)).wrong_counts == 0


#: (campaign, minutes after midnight in Jakarta)
HELD = [
    (1, [0, 10, 31]),  # the third is 31 minutes after the first
    (1, [0, 10, 30]),  # to the microsecond: no longer younger than 30 minutes
    (2, [-1, 1]),  # either side of midnight
    (3, [0, 600]),
]
OVERSHOT = [
    (1, [0, 10, 29], 1),
    (2, [0, 1], 1),  # midnight belongs to the day
    (2, [1, 2, 3], 2),
    (3, [-2, 0, 9], 1),
]


def shown_at(user: str, campaign: int, minutes: list[int]) -> list[Event]:
    midnight = (NOON - timedelta(days=1)).replace(hour=17)
    moments = (midnight + timedelta(minutes=minute) for minute in minutes)
    return [Event(user_id=user, campaign_id=campaign, occurred_at=moment) for moment in moments]


async def test_caps_that_held(primary: asyncpg.Connection, books: Books) -> None:
    events = [event for n, case in enumerate(HELD) for event in shown_at(f"user{n}", *case)]
    await merged(primary, *events)

    account = closed(books, keys(*events))

    assert (account.caps_checked, account.caps_overshot) == (len(events), 0)
    assert account.caps_reached >= len(HELD)


async def test_caps_that_were_overshot(primary: asyncpg.Connection, books: Books) -> None:
    cases = enumerate(OVERSHOT)
    events = [event for n, (campaign, at, _) in cases for event in shown_at(f"user{n}", campaign, at)]
    await merged(primary, *events)

    assert closed(books, keys(*events)).caps_overshot == sum(times for _, _, times in OVERSHOT)
