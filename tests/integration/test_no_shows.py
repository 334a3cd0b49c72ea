"""Why requests were not shown a campaign: added to its day, kept through outages, read by day, forgotten."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from api.admin.store import load_sql
from api.config import ApiConfig
from api.no_shows import NoShowWriter, no_show_writer
from buffer.primary import Primary
from maintenance.loop import maintain
from maintenance.no_shows import forget_no_shows
from maintenance.settings import MaintenanceConfig
from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    CAMPAIGNS,
    Client,
    admin_client_fixture,
    connection_fixture,
    created,
    problem,
)
from tests.support.database import Database
from tests.support.plans import explain
from tests.support.servers import closed_port, silent_port
from tests.support.waiting import until

JAKARTA = ZoneInfo("Asia/Jakarta")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
Counted = dict[tuple[int, str], int]
Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Counters:
    """What a process counts between two flushes."""

    def __init__(self) -> None:
        self.counted: Counted = {}

    def take(self) -> Counted:
        taken, self.counted = self.counted, {}
        return taken


class Writing:
    """A writer, its counters, and where it connects to."""

    def __init__(self, dsn: str, **limits: Any) -> None:
        self.dsn = dsn
        self.now = NOON
        self.counters = Counters()
        values = {"interval_seconds": 3600.0, "timeout_seconds": 5.0, "max_rows": 100, **limits}
        self.writer = NoShowWriter(self.counters.take, self._connect, clock=lambda: self.now, **values)

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.dsn)

    async def flush(self, counted: Counted) -> bool:
        self.counters.counted = counted
        return await self.writer.flush()


@pytest.fixture(name="writing")
def writing_fixture(database: Database) -> Writing:
    return Writing(database.primary_dsn)


async def stored(connection: asyncpg.Connection) -> dict[tuple[int, str], int]:
    rows = await connection.fetch(
        "SELECT campaign_id, reason, sum(requests) AS n FROM campaign_no_shows GROUP BY 1, 2"
    )
    return {(row["campaign_id"], row["reason"]): int(row["n"]) for row in rows}


async def campaign(connection: asyncpg.Connection, key: str = "sale", timezone: str = "UTC") -> int:
    statement = (
        "INSERT INTO campaigns (key, name, timezone, status, priority, placement, schedule, audience, caps, "
        "variants) VALUES ($1, $1, $2, 'live', 1, 'home', '[]', 'everyone', '[]', '[]') RETURNING id"
    )
    return int(await connection.fetchval(statement, key, timezone))


async def test_counts_are_added_to_the_day_of_the_campaigns_zone(
    writing: Writing, connection: asyncpg.Connection
) -> None:
    zones = ("Pacific/Kiritimati", "UTC", "Pacific/Pago_Pago")
    first, second, third = [await campaign(connection, f"c{n}", zone) for n, zone in enumerate(zones)]
    for now in (NOON, NOON + timedelta(hours=1)):
        writing.now = now
        assert await writing.flush({(third, "capped"): 3, (first, "paced"): 2, (second, "capped"): 1})
    rows = await connection.fetch("SELECT * FROM campaign_no_shows ORDER BY campaign_id, day")
    today, tomorrow = date(2026, 11, 1), date(2026, 11, 2)
    assert [tuple(row) for row in rows] == [
        (tomorrow, first, "paced", 4),
        (today, second, "capped", 2),
        (today, third, "capped", 6),
    ]


async def test_a_campaign_that_is_gone_holds_no_other_up(
    writing: Writing, connection: asyncpg.Connection
) -> None:
    known = await campaign(connection)
    assert await writing.flush({(known + 1, "capped"): 5, (known, "capped"): 1})
    assert await stored(connection) == {(known, "capped"): 1}


async def test_while_nothing_is_counted_nobody_connects(writing: Writing) -> None:
    writing.dsn = f"postgresql://127.0.0.1:{closed_port()}/none"
    assert await writing.flush({})
    assert not await writing.flush({(1, "capped"): 1})


async def test_what_could_not_be_written_is_added_later(
    writing: Writing, database: Database, connection: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    known = await campaign(connection)
    writing.dsn = f"postgresql://127.0.0.1:{closed_port()}/none"
    for _ in range(3):
        assert not await writing.flush({(known, "capped"): 2, (known, "paced"): 1})
    assert [record.levelname for record in caplog.records if "wait" in record.message] == ["WARNING"], (
        "said once"
    )
    writing.dsn = database.primary_dsn
    assert await writing.flush({(known, "capped"): 1})
    assert await writing.flush({})
    assert await stored(connection) == {(known, "capped"): 7, (known, "paced"): 3}


async def test_a_statement_that_is_too_slow_is_not_done_behind_our_back(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The connection's settings are those of the service."""
    known, counters = await campaign(connection), Counters()
    config = ApiConfig(
        primary_dsn=database.primary_dsn, replica_dsn="", admin_key="", token_secrets=(),
        database_timeout_seconds=0.5,
    )  # fmt: skip
    primary = Primary(database.primary_dsn, timeout_seconds=5.0, stagger_seconds=1.0)
    writer = no_show_writer(config, primary, counters.take)
    for locked in (False, True):
        counters.counted = {(known, "capped"): 1}
        async with connection.transaction():
            if locked:
                await connection.execute("UPDATE campaign_no_shows SET requests = requests")
            assert await writer.flush() is not locked
    async with connection.transaction():
        # Whoever waited for the row has had its turn when this has the table.
        await connection.execute("LOCK TABLE campaign_no_shows IN ACCESS EXCLUSIVE MODE")
        assert await stored(connection) == {(known, "capped"): 1}
    assert await writer.flush()
    assert await stored(connection) == {(known, "capped"): 2}


async def test_a_bounded_number_of_counts_waits(
    database: Database, connection: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    writing = Writing("postgresql://127.0.0.1:1/none", max_rows=2)
    known = await campaign(connection)
    await writing.flush({(known, "capped"): 1, (known, "paced"): 1, (known, "ended"): 4})
    await writing.flush({(known, "paced"): 1, (known, "stopped"): 5})
    lost = [record.message for record in caplog.records if "uncounted" in record.message]
    assert [message.split()[0] for message in lost] == ["4", "5"]
    writing.dsn = database.primary_dsn
    assert await writing.flush({})
    assert await stored(connection) == {(known, "capped"): 1, (known, "paced"): 2}


async def test_processes_that_flush_at_once_wait_for_each_other_and_never_in_a_circle(
    database: Database, connection: asyncpg.Connection
) -> None:
    """Both have come as far as they can, one from each end, when the row in the middle is let go."""
    known, reasons = await campaign(connection), "abcde"
    writers = [Writing(database.primary_dsn) for _ in range(2)]
    assert await writers[0].flush({(known, reason): 1 for reason in reasons})
    orders = (reasons, reasons[::-1])
    async with connection.transaction():
        await connection.execute("UPDATE campaign_no_shows SET requests = requests WHERE reason = 'c'")
        flushes = [
            asyncio.create_task(writing.flush({(known, reason): 1 for reason in order}))
            for writing, order in zip(writers, orders, strict=True)
        ]

        async def both_wait() -> bool:
            count = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            return bool(await connection.fetchval(count) == 2)

        await until(both_wait, "both wait")
    assert await asyncio.gather(*flushes) == [True, True]
    assert set((await stored(connection)).values()) == {3}


async def test_it_writes_every_interval_and_at_the_stop(
    database: Database, connection: asyncpg.Connection
) -> None:
    known = await campaign(connection)
    writing = Writing(database.primary_dsn, interval_seconds=0.01)
    running = asyncio.create_task(writing.writer.run())
    for expected in (1, 2):
        writing.counters.counted = {(known, "capped"): 1}

        async def there(expected: int = expected) -> bool:
            return (await stored(connection)).get((known, "capped")) == expected

        await until(there, "it was written")
    running.cancel()
    writing.counters.counted = {(known, "capped"): 1}
    await writing.writer.stop(seconds=5)
    assert await stored(connection) == {(known, "capped"): 3}


async def test_the_stop_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    with silent_port() as port, caplog.at_level(logging.WARNING):
        writing = Writing(f"postgresql://127.0.0.1:{port}/none")
        writing.counters.counted = {(1, "capped"): 3}
        async with asyncio.timeout(4):
            await writing.writer.stop(seconds=0.1)
    assert "3 requests" in caplog.text


async def test_they_are_read_by_day(admin_client: Client, writing: Writing) -> None:
    sale = (await created(admin_client, timezone="Asia/Jakarta"))["id"]
    other = (await created(admin_client, key="other"))["id"]
    now = datetime.now(UTC)
    yesterday, today = [
        (now - timedelta(days=days)).astimezone(JAKARTA).date().isoformat() for days in (1, 0)
    ]
    writing.now = now - timedelta(days=1)
    await writing.flush({(sale, "capped"): 4})
    writing.now = now
    await writing.flush({(sale, "capped"): 2, (sale, "paced"): 7, (other, "capped"): 9})
    expected = [
        {"day": yesterday, "reason": "capped", "requests": 4},
        {"day": today, "reason": "paced", "requests": 7},
        {"day": today, "reason": "capped", "requests": 2},
    ]
    asked: list[tuple[dict[str, str], list[dict[str, Any]]]] = [
        ({}, expected),
        ({"to": yesterday}, expected[:1]),
        ({"from": today}, expected[1:]),
        ({"from": "2026-01-01", "to": "2026-01-31"}, []),
    ]
    for query, days in asked:
        async with admin_client.get(f"{CAMPAIGNS}/sale/no-shows", params=query) as response:
            assert await response.json() == {"campaign": "sale", "days": days}


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "20261101"},
        {"from": "2026-02-30"},
        {"to": "0001-01-01"},
        {"to": "9999-12-31"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2025-11-01", "to": "2026-11-02"},
    ],
)
async def test_days_that_are_none_are_refused(admin_client: Client, query: dict[str, str]) -> None:
    await created(admin_client)
    async with admin_client.get(f"{CAMPAIGNS}/sale/no-shows", params=query) as response:
        await problem(response, 400, "bad_parameter")


async def test_one_campaigns_days_are_looked_up_and_not_everybodys(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO campaign_no_shows SELECT DATE '2026-01-01' + d, c, r, 1 FROM generate_series(0, 99) d, "
        "generate_series(1, 500) c, unnest(ARRAY['capped', 'paced']) r"
    )
    await connection.execute("ANALYZE campaign_no_shows")
    nodes = await explain(connection, load_sql("list_no_shows"), 7, date(2026, 1, 1), date(2026, 3, 1))
    assert sum(node.rows_read for node in nodes) <= 60 * 2


async def test_old_days_are_forgotten_in_batches(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO campaign_no_shows SELECT DATE '2026-01-01' + d, c, 'capped', 1"
        " FROM generate_series(0, 9) AS d, generate_series(1, 10) AS c"
    )
    today = date(2026, 2, 5)
    assert await forget_no_shows(connection, today, daily_count_days=32, batch_rows=7) == 30
    assert await connection.fetchval("SELECT min(day) FROM campaign_no_shows") == date(2026, 1, 4)
    assert await forget_no_shows(connection, today, daily_count_days=32) == 0
    assert await connection.fetchval("SELECT count(*) FROM campaign_no_shows") == 70


async def test_the_maintenance_process_forgets_them(
    database: Database, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO campaign_no_shows VALUES ('2020-01-01', 1, 'capped', 1)")
    stop = asyncio.Event()
    running = asyncio.create_task(maintain(MaintenanceConfig(primary_dsn=database.primary_dsn), stop))

    async def gone() -> bool:
        return not await stored(connection)

    await until(gone, "the old day is gone")
    stop.set()
    await running
