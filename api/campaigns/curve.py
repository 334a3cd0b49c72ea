"""The curve of an even pace: the share of a limit that is due by now. Times: µs since the epoch, UTC.

It rises with the time in which the campaign is active (start to end, within its dayparts), and rests outside.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final
from zoneinfo import ZoneInfo

from api.campaigns.fields import Daypart
from api.campaigns.model import Campaign
from api.campaigns.schedule import MINUTE_US, WEEK_MINUTES, slots_of_week
from api.campaigns.windows import local_time, to_us

_WEEK_US: Final = WEEK_MINUTES * MINUTE_US
_DAY_US: Final = _WEEK_US // 7
#: 1970 began on a Thursday; weeks are counted from the Monday before.
_MONDAY_US: Final = -3 * _DAY_US
#: A flight is searched for changes of its clocks day by day; over 11 years, in so many steps.
_STEPS_MAX: Final = 4000


def pace_of(campaign: Campaign, zone: ZoneInfo) -> "Pace | None":
    """None if the budget has none to keep. Dayparts by the users' clocks have no curve: they are left out."""
    if campaign.budget is None or campaign.budget.pacing != "even":
        return None
    return Pace(
        zone,
        campaign.schedule if campaign.schedule_timezone == "campaign" else (),
        None if campaign.starts_at is None else to_us(campaign.starts_at),
        None if campaign.ends_at is None else to_us(campaign.ends_at),
    )


class Pace:
    """Spreads a limit over the active time of a campaign. `flight` is None unless it has both ends."""

    def __init__(
        self, zone: ZoneInfo, schedule: Sequence[Daypart], starts_us: int | None, ends_us: int | None
    ) -> None:
        self._zone = zone
        self._week = _Week(slots_of_week(schedule)) if schedule else None
        self._starts_us = starts_us
        self._ends_us = ends_us
        self.flight: Curve | None = None
        if starts_us is not None and ends_us is not None:
            self.flight = Curve(starts_us, ends_us, self._week, zone)

    def over(self, first_us: int, end_us: int) -> "Curve":
        """Of what is active between the two; end exclusive."""
        first_us = first_us if self._starts_us is None else max(first_us, self._starts_us)
        end_us = end_us if self._ends_us is None else min(end_us, self._ends_us)
        return Curve(first_us, end_us, self._week, self._zone)


class Curve:
    """From 0 at `first_us` to 1 at `end_us`; always 0 if nothing between them is active."""

    def __init__(self, first_us: int, end_us: int, week: "_Week | None", zone: ZoneInfo) -> None:
        self.first_us = first_us
        self.end_us = end_us
        self._week = week
        # Within a piece the wall clock is `offset` ahead, and `active = week.until(wall) + base`.
        self._pieces: list[int] = []
        self._offsets: list[int] = []
        self._bases: list[int] = []
        self._total_us = max(0, end_us - first_us)
        if week is not None and self._total_us:
            self._total_us = self._add_pieces(week, zone)

    def share(self, now_us: int) -> float:
        """What is due by now, 0 to 1. Some 0.5 µs."""
        if now_us <= self.first_us or not self._total_us:
            return 0.0
        if now_us >= self.end_us:
            return 1.0
        if self._week is None:
            return (now_us - self.first_us) / self._total_us
        piece = bisect_right(self._pieces, now_us) - 1
        return (self._week.until(now_us + self._offsets[piece]) + self._bases[piece]) / self._total_us

    def _add_pieces(self, week: "_Week", zone: ZoneInfo) -> int:
        """Returns how much of all pieces is active."""
        pieces = list(_pieces(self.first_us, self.end_us, zone))
        ends = [first_us for first_us, _ in pieces[1:]] + [self.end_us]
        active_us = 0
        for (first_us, offset_us), end_us in zip(pieces, ends, strict=True):
            before_us = week.until(first_us + offset_us)
            self._pieces.append(first_us)
            self._offsets.append(offset_us)
            self._bases.append(active_us - before_us)
            active_us += week.until(end_us + offset_us) - before_us
        return active_us


def first_instant(before_us: int, after_us: int, holds: Callable[[int], bool]) -> int:
    """From when on it holds: it does at `after_us`, not at `before_us`, and changes once between them."""
    while after_us - before_us > 1:
        middle_us = (before_us + after_us) // 2
        if holds(middle_us):
            after_us = middle_us
        else:
            before_us = middle_us
    return after_us


class _Week:
    """The active time of every week, by the wall clock."""

    def __init__(self, slots: Sequence[tuple[int, int]]) -> None:
        """`slots` in minutes since Monday 00:00, in order and apart; end exclusive."""
        self._starts = [start * MINUTE_US for start, _ in slots]
        self._lengths = [(end - start) * MINUTE_US for start, end in slots]
        *self._before, self._total_us = accumulate(self._lengths, initial=0)

    def until(self, wall_us: int) -> int:
        """Active µs from some fixed Monday until this wall time, if clocks never changed."""
        weeks, within_us = divmod(wall_us - _MONDAY_US, _WEEK_US)
        slot = bisect_right(self._starts, within_us) - 1
        active_us = weeks * self._total_us
        if slot >= 0:
            active_us += self._before[slot] + min(within_us - self._starts[slot], self._lengths[slot])
        return active_us


def _pieces(first_us: int, end_us: int, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """(first instant, offset of the wall clock) of the stretches in which the offset stays."""
    step_us = max(_DAY_US, (end_us - first_us) // _STEPS_MAX)
    at_us, offset_us = first_us, _offset_us(first_us, zone)
    yield at_us, offset_us
    while at_us < end_us:
        ahead_us = min(at_us + step_us, end_us)
        if _offset_us(ahead_us, zone) == offset_us:
            at_us = ahead_us
            continue
        at_us = _change_us(at_us, ahead_us, zone)
        offset_us = _offset_us(at_us, zone)
        if at_us < end_us:
            yield at_us, offset_us


def _change_us(before_us: int, after_us: int, zone: ZoneInfo) -> int:
    offset_us = _offset_us(before_us, zone)
    return first_instant(before_us, after_us, lambda then_us: _offset_us(then_us, zone) != offset_us)


def _offset_us(instant_us: int, zone: ZoneInfo) -> int:
    offset = local_time(instant_us, zone).utcoffset()
    assert offset is not None, "a time in a zone has one"
    return round(offset.total_seconds()) * 1_000_000
