"""The leases of one hard campaign in this process: served from for a while, then given back."""

import asyncio
from typing import Final

from api.budgets.ledger import GivenBack, Granted
from api.campaigns.budget import Day, Lease, Stock

#: The next lease is asked for when so much of the newest one's time is left.
_RENEW_SHARE: Final = 0.25


class Holding:
    """Ends each lease in time by itself, whatever the primary does meanwhile."""

    def __init__(self, campaign_id: int, stock: Stock, *, lease_seconds: float) -> None:
        self.campaign_id = campaign_id
        self.stock = stock
        self.ask_at = 0.0  # of the loop's clock: not before
        self.given_back: list[GivenBack] = []
        self._lease_seconds = lease_seconds
        self._ends: dict[Lease, asyncio.TimerHandle] = {}
        self._newest_ends_at = 0.0

    def needs_units(self, now_us: int, now: float) -> bool:
        """Whether to ask: it runs low, or soon will by the end of its time."""
        if now < self.ask_at:
            return False
        if now >= self._newest_ends_at - _RENEW_SHARE * self._lease_seconds:
            return True
        return self.stock.free_units(now_us) <= self.stock.low_units

    def add(self, granted: Granted, day: Day, *, ends_at: float) -> None:
        """A lease is served from until `ends_at`, of the loop's clock."""
        lease = Lease(granted.lease_id, granted.units, day)
        self._newest_ends_at = ends_at
        self._ends[lease] = asyncio.get_running_loop().call_at(ends_at, self._end, lease)
        self.stock.add(lease)

    def end_past_days(self, now_us: int) -> None:
        for lease in list(self._ends):
            if not lease.day.first_us <= now_us < lease.day.end_us:
                self._end(lease)

    def end_all(self) -> None:
        for lease in list(self._ends):
            self._end(lease)

    def drop_unknown(self, known: frozenset[int]) -> int:
        """Leases that the primary does not know are served from no more. Returns how many those are."""
        unknown = [lease for lease in self._ends if lease.id not in known]
        for lease in unknown:
            self._forget(lease)
        return len(unknown)

    def _end(self, lease: Lease) -> None:
        self._forget(lease)
        if lease.free:
            self.given_back.append(GivenBack(lease.id, lease.taken))

    def _forget(self, lease: Lease) -> None:
        self._ends.pop(lease).cancel()
        self.stock.remove(lease)
