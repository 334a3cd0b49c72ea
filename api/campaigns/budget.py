"""What is left of a campaign's budget, as this process knows it. No I/O: `api.budgets` keeps it current.

Times are microseconds since the epoch. A budget for each day is one of the days of the campaign's zone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from api.campaigns.curve import Curve, Pace
from api.campaigns.pacing import Count, InFlight
from api.campaigns.unmerged import Unmerged
from api.campaigns.windows import local_day

_ALWAYS_US: Final = 2**63


class Day(NamedTuple):
    date: date
    first_us: int
    end_us: int  # exclusive


class Shortage(NamedTuple):
    """Why a budget leaves no room: of the `limit`, so much is `used`, and `allowed` so far.

    `until_us`: when there is room again if nothing more is spent; None if never, or if that can't be told.
    """

    code: Literal["out_of_budget", "paced"]
    limit: Literal["total", "per_day"]
    used: int
    allowed: int
    until_us: int | None


class Reservation(NamedTuple):
    """One unit of a lease. `number` tells it from the lease's others."""

    lease_id: int
    number: int
    end_us: int  # exclusive: an impression at or after it would fall into another day


@dataclass(slots=True, eq=False)
class Lease:
    """Units that the primary has handed out, for popups served within the bounds of `day`."""

    id: int
    units: int
    day: Day
    taken: int = 0

    @property
    def free(self) -> int:
        return self.units - self.taken


class Stock:
    """A hard budget: the units that popups can be served for. Without one, none is.

    `on_low` is called when it runs low, and must return at once.
    """

    def __init__(self, zone: ZoneInfo, *, per_day: bool) -> None:
        self.leases: list[Lease] = []  # those with a free unit, oldest first
        self.low_units = 0
        self.on_low: Callable[[], None] = _nobody
        self._per_day = per_day
        self._day_at = day_finder(zone)

    def add(self, lease: Lease) -> None:
        self.leases.append(lease)
        self.low_units = lease.units // 2

    def remove(self, lease: Lease) -> None:
        if lease in self.leases:
            self.leases.remove(lease)

    def has_room(self, now_us: int) -> bool:
        return any(_within(lease, now_us) for lease in self.leases)

    def shortage(self, now_us: int) -> Shortage | None:
        """None exactly if there is room. No more is known here than that there are no free units."""
        if self.has_room(now_us):
            return None
        return Shortage("out_of_budget", "per_day" if self._per_day else "total", 0, 0, None)

    def why_not(self, now_us: int) -> Shortage | None:
        return self.shortage(now_us)

    def reserve(self, now_us: int) -> Reservation:
        """One unit; `has_room` was true a moment ago."""
        lease = next(each for each in self.leases if _within(each, now_us))
        reservation = Reservation(lease.id, lease.taken, lease.day.end_us)
        lease.taken += 1
        if not lease.free:
            self.leases.remove(lease)
        if self.free_units(now_us) <= self.low_units:
            self.on_low()
        return reservation

    def free_units(self, now_us: int) -> int:
        """Of the leases that can be served from now."""
        return sum(lease.free for lease in self.leases if _within(lease, now_us))

    def day_at(self, now_us: int) -> Day:
        """Under which day a unit counts that is reserved now; without bounds unless days are limited."""
        day = self._day_at(now_us)
        return day if self._per_day else Day(day.date, -_ALWAYS_US, _ALWAYS_US)


class SoftBudget:
    """Merged impressions of all processes and the pending ones of this one, against the limits.

    With a pace also against its curve, and then together with those that are about to come.
    Nothing is known before the first `update`: until then nothing is served.
    """

    def __init__(
        self, zone: ZoneInfo, *, total: int | None, per_day: int | None, pace: Pace | None = None
    ) -> None:
        self._known = False
        self._merged_total = 0
        self._merged: Mapping[date, int] = {}
        self._pending = Unmerged()
        self._processes = 1
        self._in_flight = InFlight()
        self._pace: Pace | None = None
        self.limit(zone, total=total, per_day=per_day, pace=pace)

    def limit(
        self, zone: ZoneInfo, *, total: int | None, per_day: int | None, pace: Pace | None = None
    ) -> None:
        """New limits; what is spent stays spent."""
        if self._pace is None:
            self._in_flight = InFlight()  # it knows nothing of what was served without a pace
        self._total = total
        self._per_day = per_day
        self._pace = pace
        self._day_at = day_finder(zone)
        self._curve_day: Day | None = None
        self._curve = Curve(0, 0, None, zone)

    def has_room(self, now_us: int) -> bool:
        return self.shortage(now_us) is None

    def why_not(self, now_us: int) -> Shortage | None:
        """The same as `shortage`, with the time until which it is: that is dear to find out."""
        short = self.shortage(now_us)
        return None if short is None else short._replace(until_us=self._until_us(short, now_us))

    def reserve(self, now_us: int) -> None:
        """A popup is served. Nothing is set aside, since only impressions count; but one is expected."""
        if self._pace is not None:
            self._in_flight.served(now_us)

    def add_pending(
        self, seq: int, occurred_at_us: int, served_us: int | None = None, now_us: int | None = None
    ) -> None:
        """An impression that this process has just taken. `seq` rises.

        `served_us`: when its popup was; `now_us`, unless that is when the impression occurred.
        """
        self._pending.add(seq, self._day_at(occurred_at_us).date)
        self._in_flight.spent(self._processes)
        if served_us is not None:
            self._in_flight.confirmed((occurred_at_us if now_us is None else now_us) - served_us)

    def update(self, *, total: int, by_day: Mapping[date, int], watermark: int, processes: int = 1) -> None:
        """What one snapshot shows as merged: ever, in the latest days, and of this process.

        `processes`: how many there are, this one among them.
        """
        before = self._merged_total + processes * self._pending.total
        self._merged_total = total
        self._merged = by_day
        self._processes = processes
        self._pending.forget(watermark)
        if self._known:
            self._in_flight.spent(total + processes * self._pending.total - before)
        self._known = True

    def shortage(self, now_us: int) -> Shortage | None:
        """The first limit that leaves no room, without until when; None exactly if there is room."""
        if not self._known:
            return Shortage("out_of_budget", "per_day" if self._total is None else "total", 0, 0, None)
        used = self._merged_total + self._pending.total
        if self._total is not None and used >= self._total:
            return Shortage("out_of_budget", "total", used, self._total, None)
        if self._per_day is not None:
            used = self._used_on(self._day_at(now_us).date)
            if used >= self._per_day:
                return Shortage("out_of_budget", "per_day", used, self._per_day, None)
        return None if self._pace is None else self._ahead(now_us)

    def _ahead(self, now_us: int) -> Shortage | None:
        """The first limit of which more is used, or is about to be, than is due by now."""
        expected = self._in_flight.expected(now_us, self._processes)
        for count in self._counts(now_us):
            due = count.due(now_us)
            if count.known + expected >= due:
                return Shortage("paced", count.limit, count.used, ceil(due), None)
        return None

    def _counts(self, now_us: int) -> list[Count]:
        """Of the limits that have a pace."""
        assert self._pace is not None, "asked by a pace"
        counts, others = [], self._processes - 1
        if self._total is not None and self._pace.flight is not None:
            mine = self._pending.total
            used = self._merged_total + mine
            counts.append(Count("total", self._total, self._pace.flight, used, used + others * mine))
        if self._per_day is not None:
            day = self._day_at(now_us)
            if day is not self._curve_day:
                self._curve_day, self._curve = day, self._pace.over(day.first_us, day.end_us)
            mine = self._pending.by_day[day.date]
            used = self._used_on(day.date)
            counts.append(Count("per_day", self._per_day, self._curve, used, used + others * mine))
        return counts

    def _used_on(self, day: date) -> int:
        return self._merged.get(day, 0) + self._pending.by_day[day]

    def _until_us(self, short: Shortage, now_us: int) -> int | None:
        """When this limit leaves room again if nothing more is spent. None: never, or not known."""
        next_day_us = self._day_at(now_us).end_us if short.limit == "per_day" else None
        if short.code == "out_of_budget":
            return next_day_us if self._known else None
        count = next(each for each in self._counts(now_us) if each.limit == short.limit)
        return count.room_from_us(now_us, self._in_flight, self._processes) or next_day_us


Budget = Stock | SoftBudget


def day_finder(zone: ZoneInfo) -> Callable[[int], Day]:
    """now_us → its day in the zone. It remembers the last one, so it belongs to one thread."""
    day = Day(date.min, 0, 0)

    def day_at(now_us: int) -> Day:
        nonlocal day
        if not day.first_us <= now_us < day.end_us:
            day = Day(*local_day(now_us, zone))
        return day

    return day_at


def _within(lease: Lease, now_us: int) -> bool:
    return lease.day.first_us <= now_us < lease.day.end_us


def _nobody() -> None:
    return None
