"""Rows in the buffer tables without an api process, and what a merge made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Final
from uuid import UUID

import asyncpg

from buffer.contract import BUFFER_TABLES, COLUMNS

#: Of today, in UTC: yesterday and the week to come have partitions in every test database.
NOON: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
_numbers = count(1)


def impression_id(served: datetime, number: int | None = None) -> UUID:
    """A UUIDv7 of this moment; with a number of its own unless one is given."""
    milliseconds = int(served.timestamp()) * 1000 + served.microsecond // 1000
    tail = next(_numbers) if number is None else number
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | tail)


@dataclass(frozen=True)
class Event:
    user_id: str = "ani"
    campaign_id: int = 1
    kind: int = 1
    variant: str = "a"
    occurred_at: datetime = NOON
    session: int = 0
    late: bool = False
    id: UUID = field(default_factory=lambda: impression_id(NOON))

    def as_(self, **changes: object) -> "Event":
        return replace(self, **changes)  # type: ignore[arg-type]  # the names are the fields'


async def buffer(
    connection: asyncpg.Connection,
    events: Sequence[Event],
    *,
    instance: int = 1,
    first_seq: int = 1,
    table: int = 0,
) -> None:
    """Commit the events as one COPY of an api process."""
    records = [
        (instance, seq, e.id, e.kind, e.user_id, e.campaign_id, e.variant, e.occurred_at, e.session, e.late)
        for seq, e in enumerate(events, start=first_seq)
    ]
    await connection.copy_records_to_table(BUFFER_TABLES[table], records=records, columns=COLUMNS)


async def counts(
    connection: asyncpg.Connection, user_id: str = "ani", campaign_id: int = 1
) -> asyncpg.Record:
    row = await connection.fetchrow(
        "SELECT * FROM user_campaign_counts WHERE user_id = $1 AND campaign_id = $2", user_id, campaign_id
    )
    assert row is not None
    return row


async def daily(connection: asyncpg.Connection) -> list[tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT day::text, campaign_id, variant, kind, sum(events)::bigint, sum(new_users)::bigint"
        " FROM campaign_daily_counts GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    )
    return [tuple(row) for row in rows]


async def watermarks(connection: asyncpg.Connection) -> dict[int, int]:
    rows = await connection.fetch("SELECT instance, seq FROM buffer_watermarks")
    return {row["instance"]: row["seq"] for row in rows}


async def waits(connection: asyncpg.Connection, pid: int) -> bool:
    """Whether the backend waits for a lock."""
    return bool(await connection.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid))
