"""The primary's account of a hard budget: what keeps it is decided here, by transactions and by no clock.

The invariant, for the whole campaign and for each of its days: units spent for good + units of open
leases ≤ limit. An impression counts only after it has spent a unit of an open lease.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from api.budgets.session import statement

_LOCK: Final = statement("lock_account")
_GIVE_BACK: Final = statement("give_back")
_CLOSE: Final = statement("close_leases")
_OPEN: Final = statement("open_account")
_GRANT: Final = statement("grant")
_USE: Final = statement("use")
_MAY_COUNT: Final = statement("may_count")


class GivenBack(NamedTuple):
    """A lease that no more popups are served with; `taken` were."""

    lease_id: int
    taken: int


@dataclass(frozen=True)
class Wish:
    """Units for popups served on `day`, as the campaign was at `version`."""

    version: int
    day: date
    max_units: int
    open_for: timedelta


class Granted(NamedTuple):
    lease_id: int
    units: int


class Answer(NamedTuple):
    """`known` are the leases that this process held before; others of its are gone, by a failover perhaps."""

    known: Collection[int]
    granted: Granted | None


class Use(NamedTuple):
    """An impression that wants to spend its unit. Not `in_time`, it must have spent it before."""

    impression_id: UUID
    lease_id: int
    campaign_id: int
    in_time: bool


@dataclass(frozen=True)
class Ledger:
    """`settling` is how long it takes until every process knows that a budget has become hard."""

    instance: int
    settling: timedelta

    async def settle(
        self,
        connection: asyncpg.Connection,
        campaign_id: int,
        given_back: Sequence[GivenBack],
        wish: Wish | None,
    ) -> Answer:
        """Give units back, close what is overdue, and get new ones if wished; in one transaction."""
        async with connection.transaction():
            account = await connection.fetchrow(_LOCK, campaign_id, self.instance)
            if account is None:
                return Answer((), None)
            if given_back:
                leases, taken = zip(*given_back, strict=True)
                await connection.execute(_GIVE_BACK, leases, taken)
            granted = None
            if wish is not None:
                await connection.execute(_CLOSE, campaign_id)
                if account["opened"] or await connection.fetchval(_OPEN, campaign_id, self.settling):
                    granted = await self._grant(connection, campaign_id, wish)
        return Answer(frozenset(account["leases"]), granted)

    async def _grant(self, connection: asyncpg.Connection, campaign_id: int, wish: Wish) -> Granted | None:
        row = await connection.fetchrow(
            _GRANT, campaign_id, wish.version, self.instance, wish.day, wish.max_units, wish.open_for
        )
        return None if row is None else Granted(row["id"], row["units"])


async def spend(connection: asyncpg.Connection, uses: Sequence[Use]) -> set[UUID]:
    """The impressions that may count: they spend their unit now, or have done so before, or need none.

    One round trip, unless one is to be refused. Raises CheckViolationError, with nothing spent, if a
    lease has fewer units than popups: after a failover that lost the grant of one with the same id.
    """
    spent: set[UUID] = set()
    if in_time := [use for use in uses if use.in_time]:
        ids, leases, campaigns, _ = zip(*in_time, strict=True)
        spent = {row["impression_id"] for row in await connection.fetch(_USE, ids, leases, campaigns)}
    # Asked apart: only a new snapshot shows what another process has spent while this one waited.
    if doubtful := [use for use in uses if use.impression_id not in spent]:
        ids, _, campaigns, _ = zip(*doubtful, strict=True)
        spent |= {row["impression_id"] for row in await connection.fetch(_MAY_COUNT, ids, campaigns)}
    return spent
