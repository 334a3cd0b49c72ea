"""What is left of a campaign's budget, as this process knows it. No I/O: `api.budgets` keeps it current.

Times are microseconds since the epoch. A budget for each day is one of the days of the campaign's zone.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from api.campaigns.windows import local_day

_ALWAYS_US: Final = 2**63
#: Pending impressions are kept one by one up to here, then in groups: bounded also when no answer comes.
_GROUPS_MAX: Final = 10_000


class Day(NamedTuple):
    date: date
    first_us: int
    end_us: int  # exclusive


class Reservation(NamedTuple):
    """One unit of a lease. `number` tells it from the lease's others."""

    lease_id: int
    number: int
    end_us: int  # exclusive: an impression at or after it would fall into another day


class Shortage(NamedTuple):
    """Why nothing is left: `used` of `allowed`, until when if nothing more is spent (None: for good)."""

    code: str
    limit: str  # "total" or "per_day"
    used: int
    allowed: int
    until_us: int | None


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

    def why_not(self, now_us: int) -> Shortage | None:
        if self.has_room(now_us):
            return None
        return Shortage("out_of_budget", "per_day" if self._per_day else "total", 0, 0, None)

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

    Nothing is known before the first `update`: until then nothing is served.
    """

    def __init__(self, zone: ZoneInfo, *, total: int | None, per_day: int | None) -> None:
        self.limit(zone, total=total, per_day=per_day)
        self._known = False
        self._merged_total = 0
        self._merged: Mapping[date, int] = {}
        self._pending_total = 0
        self._pending: Counter[date] = Counter()
        self._groups: deque[_Group] = deque()

    def limit(self, zone: ZoneInfo, *, total: int | None, per_day: int | None) -> None:
        """New limits; what is spent stays spent."""
        self._total = total
        self._per_day = per_day
        self._day_at = day_finder(zone)

    def has_room(self, now_us: int) -> bool:
        if not self._known:
            return False
        if self._total is not None and self._merged_total + self._pending_total >= self._total:
            return False
        if self._per_day is None:
            return True
        today = self._day_at(now_us).date
        return self._merged.get(today, 0) + self._pending[today] < self._per_day

    def why_not(self, now_us: int) -> Shortage | None:
        if self.has_room(now_us):
            return None
        return Shortage("out_of_budget", "total", 0, 0, None)

    def reserve(self, _now_us: int) -> None:
        """Nothing is set aside: only impressions count."""

    def add_pending(self, seq: int, occurred_at_us: int) -> None:
        """An impression that this process has just taken. `seq` rises."""
        day = self._day_at(occurred_at_us).date
        groups = self._groups
        if len(groups) >= _GROUPS_MAX and groups[-1].day == day:
            groups[-1].seq = seq
            groups[-1].events += 1
        else:
            groups.append(_Group(seq, day))
        self._pending[day] += 1
        self._pending_total += 1

    def update(self, *, total: int, by_day: Mapping[date, int], watermark: int) -> None:
        """What one snapshot shows as merged: ever, in the latest days, and of this process."""
        self._known = True
        self._merged_total = total
        self._merged = by_day
        groups = self._groups
        while groups and groups[0].seq <= watermark:
            merged = groups.popleft()
            self._pending_total -= merged.events
            self._pending[merged.day] -= merged.events
            if not self._pending[merged.day]:
                del self._pending[merged.day]


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


@dataclass(slots=True, eq=False)
class _Group:
    """Pending impressions of one day; `seq` is the last one's."""

    seq: int
    day: date
    events: int = 1


def _within(lease: Lease, now_us: int) -> bool:
    return lease.day.first_us <= now_us < lease.day.end_us


def _nobody() -> None:
    return None
