"""Partitions of the log (by day) and of the daily counts (by month): created ahead, dropped behind.

LIKE + ATTACH takes no lock that stops a reader or the merge; DETACH CONCURRENTLY does not either,
and the DROP that follows touches a table that nobody reads any more. There is no DEFAULT partition:
it would have to be scanned under a lock at each ATTACH.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from maintenance.duty import statement

log = logging.getLogger("tayang.partitions")

DAYS_AHEAD: Final = 7
MONTHS_AHEAD: Final = 2
_LOCK_TIMEOUT: Final = "2s"

_PARTITIONS: Final = statement("partitions")
_DETACHED: Final = statement("detached_partitions")


@dataclass(frozen=True)
class Bounds:
    """What the log and the daily counts can take: first, end, first, end … of each run of partitions."""

    ids: list[UUID]
    midnights: list[datetime]


@dataclass(frozen=True)
class Partition:
    """`lower` ≤ key < `upper`, as text of the key's type."""

    name: str
    lower: str
    upper: str
    detaching: bool = False


@dataclass(frozen=True)
class PartitionResult:
    created: int = 0
    dropped: int = 0


def first_id_of(day: date) -> UUID:
    """The least UUIDv7 of a UTC day."""
    return least_id_at(datetime(day.year, day.month, day.day, tzinfo=UTC))


def least_id_at(moment: datetime) -> UUID:
    """The least UUIDv7 of a second: 48 bits of milliseconds, then zeros."""
    return UUID(int=(int(moment.timestamp()) * 1000) << 80)


async def bounds(connection: asyncpg.Connection) -> Bounds:
    """From the catalogs of the database, so that the merge agrees with what is there."""
    ids = _runs(await partitions_of(connection, "impressions"))
    days = _runs(await partitions_of(connection, "campaign_daily_counts"))
    return Bounds(
        [UUID(bound) for bound in ids],
        [datetime.fromisoformat(bound).replace(tzinfo=UTC) for bound in days],
    )


def _runs(partitions: list[Partition]) -> list[str]:
    """Where runs of adjoining partitions begin and end."""
    edges: list[str] = []
    for part in partitions:
        if part.detaching:
            continue
        if edges and edges[-1] == part.lower:
            edges[-1] = part.upper
        else:
            edges += [part.lower, part.upper]
    return edges


async def partitions_of(connection: asyncpg.Connection, table: str) -> list[Partition]:
    """In the order of their bounds."""
    rows = await connection.fetch(_PARTITIONS, table)
    return [Partition(row["name"], row["lower"], row["upper"], row["detaching"]) for row in rows]


async def keep_partitions(
    connection: asyncpg.Connection, today: date, *, log_days: int, daily_count_days: int
) -> PartitionResult:
    """Create what the coming days need and drop what is older than the retention.

    Each partition is a transaction of its own: an interrupted run is finished by the next one. The
    caller holds PARTITION_DUTY, on a connection that is not the merge's: a detach may have to wait.
    """
    await connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    created = await _create(connection, "impressions", _log_days(today))
    created += await _create(connection, "campaign_daily_counts", _months(today))
    oldest_id = str(first_id_of(today - timedelta(days=log_days)))
    dropped = await _drop(connection, "impressions", oldest_id)
    oldest_day = (today - timedelta(days=daily_count_days)).isoformat()
    dropped += await _drop(connection, "campaign_daily_counts", oldest_day)
    return PartitionResult(created, dropped)


def _log_days(today: date) -> Iterator[Partition]:
    """Yesterday too: at the first start phones may still hold popups of an earlier installation."""
    for offset in range(-1, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        following = day + timedelta(days=1)
        yield Partition(f"impressions_{day:%Y%m%d}", str(first_id_of(day)), str(first_id_of(following)))


def _months(today: date) -> Iterator[Partition]:
    """From the month before: an event of the first of a month may fall into the last one, by zone."""
    month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    for _ in range(MONTHS_AHEAD + 2):
        following = (month + timedelta(days=31)).replace(day=1)
        name = f"campaign_daily_counts_{month:%Y%m}"
        yield Partition(name, month.isoformat(), following.isoformat())
        month = following


async def _create(connection: asyncpg.Connection, table: str, wanted: Iterator[Partition]) -> int:
    there = {part.name for part in await partitions_of(connection, table)}
    created = 0
    for part in wanted:
        if part.name in there:
            continue
        async with connection.transaction():
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {part.name} (LIKE {table} INCLUDING DEFAULTS)"
            )
            await connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {part.name} "
                f"FOR VALUES FROM ('{part.lower}') TO ('{part.upper}')"
            )
        created += 1
    return created


async def _drop(connection: asyncpg.Connection, table: str, oldest: str) -> int:
    """Partitions that end at or before `oldest`, and what an interrupted run left half done."""
    for part in await partitions_of(connection, table):
        if part.detaching:
            await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {part.name} FINALIZE")
        elif part.upper <= oldest:
            await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {part.name} CONCURRENTLY")
    detached = await connection.fetch(_DETACHED, table)
    for row in detached:
        await connection.execute(f"DROP TABLE {row['name']}")
        log.info("dropped %s", row["name"])
    return len(detached)
