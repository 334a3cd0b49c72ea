"""Does the database hold what the phones were promised, once each, and nothing else?

Asked in one snapshot, so log and counts must agree at any moment, on either server.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from tests.adversity.chaos.ledger import Key, Ledger
from tests.support.counted import DISAGREEMENTS

_TIMEOUT_SECONDS: Final = 20.0

#: Each returns a row for every disagreement.
_DISAGREEMENTS: Final = {
    **DISAGREEMENTS,
    "in quarantine": "SELECT impression_id, user_id FROM impression_quarantine",
}
_LOGGED: Final = """
    SELECT impression_id, kind, count(*) AS times FROM impressions
    WHERE user_id = ANY($1::text[]) GROUP BY impression_id, kind"""
_MISSING: Final = """
    SELECT count(*) FROM unnest($1::uuid[], $2::smallint[]) AS a (id, kind)
    WHERE NOT EXISTS (SELECT FROM impressions AS i WHERE i.impression_id = a.id AND i.kind = a.kind)"""
_ROWS_LEFT: Final = """
    SELECT count(*) FROM impression_buffer AS b LEFT JOIN buffer_watermarks AS w USING (instance)
    WHERE b.seq > coalesce(w.seq, 0)"""


@dataclass(frozen=True)
class Audit:
    """Of one round on one server: how many events of its users are in the log, and what is wrong."""

    counted: int = 0
    lost: int = 0  # acknowledged, and not in the log
    doubled: int = 0  # rows of the log beyond the first one of an event
    unsent: int = 0  # in the log, and never sent
    disagreements: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.unsent or self.disagreements)


async def audit(dsn: str, ledger: Ledger, *, before: frozenset[Key] = frozenset()) -> Audit:
    """`before`: what was sent in earlier rounds, which may be there and need not be."""
    async with _snapshot(dsn) as connection:
        logged = await connection.fetch(_LOGGED, ledger.users)
        disagreements = []
        for name, statement in _DISAGREEMENTS.items():
            disagreements += [
                f"{name}: {dict(row)}" for row in await connection.fetch(f"{statement} LIMIT 3")
            ]
    times = {(UUID(str(row["impression_id"])), int(row["kind"])): row["times"] for row in logged}
    return Audit(
        counted=len(times.keys() & ledger.lines.keys()),
        lost=len(ledger.acknowledged_keys() - times.keys()),
        doubled=sum(times.values()) - len(times),
        unsent=len(times.keys() - ledger.lines.keys() - before),
        disagreements=disagreements,
    )


class Look:
    """What is asked again and again: a connection for each time would cost more than the answer."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def missing(self, keys: Collection[Key]) -> int:
        """How many of these are not in the log (yet)."""
        ids, kinds = [each for each, _ in keys], [kind for _, kind in keys]
        return int(await self._connection.fetchval(_MISSING, ids, kinds))

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
