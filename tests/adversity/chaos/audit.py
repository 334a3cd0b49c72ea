"""Does the database hold what the phones were promised, once each, and nothing else?

Asked in one snapshot, so log and counts must agree at any moment, on either server.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from tests.adversity.chaos.ledger import Ledger

_TIMEOUT_SECONDS: Final = 20.0

#: Each returns a row for every disagreement.
_DISAGREEMENTS: Final = {
    "user_campaign_counts.total is not the log's rows": """
        SELECT user_id, campaign_id, l.events AS in_log, c.total AS counted
        FROM (SELECT user_id, campaign_id, count(*) AS events FROM impressions GROUP BY 1, 2) AS l
        FULL JOIN user_campaign_counts AS c USING (user_id, campaign_id)
        WHERE l.events IS DISTINCT FROM c.total
        ORDER BY 1, 2 LIMIT 3""",
    "campaign_daily_counts.events is not the log's rows": """
        SELECT day, campaign_id, variant, l.events AS in_log, d.events AS counted
        FROM (
            SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, campaign_id, variant, kind,
                count(*) AS events
            FROM impressions GROUP BY 1, 2, 3, 4
        ) AS l
        FULL JOIN campaign_daily_counts AS d USING (day, campaign_id, variant, kind)
        WHERE l.events IS DISTINCT FROM d.events
        ORDER BY 1, 2, 3 LIMIT 3""",
    "campaign_daily_counts.new_users is not the campaign's users": """
        SELECT campaign_id, l.users AS in_log, d.users AS counted
        FROM (SELECT campaign_id, count(DISTINCT user_id) AS users FROM impressions GROUP BY 1) AS l
        FULL JOIN (
            SELECT campaign_id, sum(new_users)::bigint AS users FROM campaign_daily_counts GROUP BY 1
        ) AS d USING (campaign_id)
        WHERE l.users IS DISTINCT FROM d.users
        ORDER BY 1 LIMIT 3""",
    "in quarantine": "SELECT impression_id, user_id FROM impression_quarantine LIMIT 3",
}
_LOGGED: Final = """
    SELECT impression_id, count(*) AS times FROM impressions
    WHERE user_id = ANY($1::text[]) GROUP BY impression_id"""
_MISSING: Final = """
    SELECT count(*) FROM unnest($1::uuid[]) AS a (id)
    WHERE NOT EXISTS (SELECT FROM impressions AS i WHERE i.impression_id = a.id)"""
_ROWS_LEFT: Final = """
    SELECT count(*) FROM impression_buffer AS b LEFT JOIN buffer_watermarks AS w USING (instance)
    WHERE b.seq > coalesce(w.seq, 0)"""


@dataclass(frozen=True)
class Audit:
    """Of one round on one server: how many impressions of its users are in the log, and what is wrong."""

    counted: int = 0
    lost: int = 0  # acknowledged, and not in the log
    doubled: int = 0  # rows of the log beyond the first one of an impression
    unsent: int = 0  # in the log, and never sent
    disagreements: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.unsent or self.disagreements)


async def audit(dsn: str, ledger: Ledger, *, before: frozenset[UUID] = frozenset()) -> Audit:
    """`before`: what was sent in earlier rounds, which may be there and need not be."""
    async with _snapshot(dsn) as connection:
        logged = {row["impression_id"]: row["times"] for row in await connection.fetch(_LOGGED, ledger.users)}
        disagreements = []
        for name, statement in _DISAGREEMENTS.items():
            disagreements += [f"{name}: {dict(row)}" for row in await connection.fetch(statement)]
    ids = {UUID(str(impression_id)): times for impression_id, times in logged.items()}
    return Audit(
        counted=len(ids.keys() & ledger.lines.keys()),
        lost=len(ledger.acknowledged_ids() - ids.keys()),
        doubled=sum(ids.values()) - len(ids),
        unsent=len(ids.keys() - ledger.lines.keys() - before),
        disagreements=disagreements,
    )


class Look:
    """What is asked again and again: a connection for each time would cost more than the answer."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def missing(self, ids: Collection[UUID]) -> int:
        """How many of these are not in the log (yet)."""
        return int(await self._connection.fetchval(_MISSING, list(ids)))

    async def rows_left(self) -> int:
        """Rows of the buffer that are not merged yet."""
        return int(await self._connection.fetchval(_ROWS_LEFT))


@asynccontextmanager
async def looking(dsn: str) -> AsyncIterator[Look]:
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS)
    try:
        yield Look(connection)
    finally:
        connection.terminate()


@asynccontextmanager
async def _snapshot(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection in a transaction that sees one state of the database."""
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS)
    try:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection
    finally:
        connection.terminate()
