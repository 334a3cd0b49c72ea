"""Dayparts: the hours of the week in which a campaign is active. Times: µs since the epoch, UTC."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from api.campaigns.fields import WEEKDAYS, Daypart
from api.campaigns.windows import local_time, to_us

MINUTE_US: Final = 60_000_000
DAY_MINUTES: Final = 1440
WEEK_MINUTES: Final = 7 * DAY_MINUTES
#: A slot of the same day of the next week may fall into a gap: then it is the one a week later.
_LOOK_AHEAD_DAYS: Final = 15


class Slots:
    """The dayparts of a campaign, decided by a wall clock as it reads at `now`.

    So where clocks go forward, a slot inside the skipped hour doesn't happen that day, and one that spans it
    is shorter; where they go back, a slot inside the repeated hour happens twice. A slot past midnight
    belongs to the day on which it starts.

    The answer for the current minute is remembered for each zone, so it belongs to one thread.
    """

    def __init__(self, schedule: Sequence[Daypart]) -> None:
        self._week = _week_of_minutes(schedule)
        self._starts = sorted({_minute_of_day(slot.from_) for slot in schedule})
        self._latest: dict[tzinfo, tuple[int, bool]] = {}
        self._openings: dict[tzinfo, tuple[int, int | None]] = {}

    def active(self, now_us: int, zone: tzinfo) -> bool:
        # Slots begin on whole minutes, and so have all changes of all zones' clocks since 1972: nothing can
        # change within a minute of UTC.
        minute = now_us // MINUTE_US
        known = self._latest.get(zone)
        if known is None or known[0] != minute:
            known = self._latest[zone] = (minute, self._in_slot(now_us, zone))
        return known[1]

    def opening_us(self, now_us: int, zone: tzinfo) -> int | None:
        """The first instant after `now_us` at which a slot is active; for a `now_us` outside the slots."""
        minute = now_us // MINUTE_US
        known = self._openings.get(zone)
        if known is None or known[0] != minute:
            known = self._openings[zone] = (minute, self._next_opening_us(minute * MINUTE_US, zone))
        return known[1]

    def _next_opening_us(self, minute_us: int, zone: tzinfo) -> int | None:
        today = local_time(minute_us, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range(_LOOK_AHEAD_DAYS):
            midnight = today + timedelta(days=day)
            starts = {to_us(start) for minute in self._starts for start in _twice(midnight, minute)}
            for start_us in sorted(starts | _clock_changes_us(midnight)):
                if start_us > minute_us and self._in_slot(start_us, zone):
                    return self._first_minute_us(start_us, minute_us, zone)
        return None

    def _first_minute_us(self, start_us: int, after_us: int, zone: tzinfo) -> int:
        """A start inside a skipped hour is told too late: the slot opens when the gap is over."""
        while start_us - MINUTE_US > after_us and self._in_slot(start_us - MINUTE_US, zone):
            start_us -= MINUTE_US
        return start_us

    def _in_slot(self, now_us: int, zone: tzinfo) -> bool:
        local = local_time(now_us, zone)
        return bool(self._week[local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute])


def slots_of(schedule: Sequence[Daypart]) -> Slots | None:
    """None if there are no dayparts: the whole day. Campaigns with the same ones share an object."""
    return _slots(tuple((tuple(slot.days), slot.from_, slot.to) for slot in schedule)) if schedule else None


@lru_cache(maxsize=1024)
def _slots(written: tuple[tuple[tuple[str, ...], str, str], ...]) -> Slots:
    return Slots([Daypart.model_validate({"days": list(d), "from": f, "to": t}) for d, f, t in written])


def _twice(midnight: datetime, minute: int) -> tuple[datetime, datetime]:
    """A wall time, and the same one after clocks went back."""
    start = midnight.replace(hour=minute // 60, minute=minute % 60)
    return start.replace(fold=0), start.replace(fold=1)


def _clock_changes_us(midnight: datetime) -> set[int]:
    """When the zone's clock changes on this day: it may go back, or forward, into the midst of a slot."""
    zone, before = midnight.tzinfo, midnight.utcoffset()
    end = midnight + timedelta(days=1)
    if zone is None or end.utcoffset() == before:
        return set()
    minutes = range(to_us(midnight) // MINUTE_US, to_us(end) // MINUTE_US + 1)
    change = bisect_left(
        minutes, True, key=lambda minute: local_time(minute * MINUTE_US, zone).utcoffset() != before
    )
    return {minutes[change] * MINUTE_US} if change < len(minutes) else set()


def _week_of_minutes(schedule: Sequence[Daypart]) -> bytes:
    """One byte for each minute of the week from Monday 00:00: 1 inside a slot; Sunday runs into Monday."""
    week = bytearray(WEEK_MINUTES)
    for slot in schedule:
        start = _minute_of_day(slot.from_)
        length = _minute_of_day(slot.to) - start
        if length <= 0:
            length += DAY_MINUTES
        for day in slot.days:
            first = WEEKDAYS.index(day) * DAY_MINUTES + start
            end = first + length
            week[first : min(end, WEEK_MINUTES)] = b"\1" * (min(end, WEEK_MINUTES) - first)
            if end > WEEK_MINUTES:
                week[: end - WEEK_MINUTES] = b"\1" * (end - WEEK_MINUTES)
    return bytes(week)


def _minute_of_day(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def slots_of_week(schedule: Sequence[Daypart]) -> list[tuple[int, int]]:
    """The stretches of the week inside a slot, in order and apart: minutes since Monday 00:00, end exclusive.

    One that runs from Sunday into Monday is told as two.
    """
    week = _week_of_minutes(schedule)
    found: list[tuple[int, int]] = []
    start = week.find(1)
    while start >= 0:
        end = week.find(0, start) % (WEEK_MINUTES + 1)  # -1, no end, becomes the week's
        found.append((start, end))
        start = week.find(1, end)
    return found
