"""The primary's account of a hard budget: what keeps it is decided here, by transactions and by no clock.

The invariant, for the whole campaign and for each of its days: units spent for good + units of open
leases ≤ limit. An impression counts only after it has spent a unit of an open lease.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from api.budgets.session import statement

_SETTLE: Final = statement("settle")
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


_NO_WISH: Final = (0, date.min, 0, timedelta(0))


class Granted(NamedTuple):
    lease_id: int
    units: int


class Answer(NamedTuple):
    """`known` are the leases that this process held before; others of its are gone, by a failover perhaps."""

    known: frozenset[int]
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
        row = await connection.fetchrow(
            _SETTLE,
            campaign_id,
            self.instance,
            [each.lease_id for each in given_back],
            [each.taken for each in given_back],
            *_NO_WISH if wish is None else (wish.version, wish.day, wish.max_units, wish.open_for),
            self.settling,
        )
        assert row is not None  # a function's result
        granted = None if row["lease_id"] is None else Granted(row["lease_id"], row["units"])
        return Answer(frozenset(row["known"] or ()), granted)


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
