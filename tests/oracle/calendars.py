"""Local days, weeks, months and dayparts: found by asking, minute by minute, what the wall clock shows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from tests.oracle.documents import Document, instant

_MINUTE: Final = timedelta(minutes=1)
_QUARTER: Final = timedelta(minutes=15)
_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: No zone is further from UTC.
_FURTHEST: Final = timedelta(hours=16)


def local_date(now: datetime, zone: tzinfo) -> date:
    return now.astimezone(zone).date()


def period_begin(window: str, now: datetime, zone: tzinfo) -> datetime:
    """The first instant of the local day, of the week's Monday, or of the month's first, that `now` is in."""
    today = local_date(now, zone)
    first = today
    if window == "week":
        first = today - timedelta(days=today.weekday())
    elif window == "month":
        first = today.replace(day=1)
    return next(begin for begin in _begins(first, zone) if begin is not None)


def next_periods(window: str, now: datetime, zone: tzinfo) -> Iterator[datetime]:
    """The first instants of the local days to come that begin a new day, week or month."""
    today = local_date(now, zone)
    for days in range(1, 33):
        day = today + timedelta(days=days)
        if window == "day" or (window == "week" and days <= 8) or (window == "month" and day.day <= 2):
            begin = first_instant(day, zone)
            if begin is not None:
                yield begin


@lru_cache(maxsize=200_000)
def first_instant(day: date, zone: tzinfo) -> datetime | None:
    """When a local date begins; None for one that the zone has skipped."""
    start = datetime.combine(day, time(), UTC) - _FURTHEST
    quarters = (start + _QUARTER * number for number in range(2 * 16 * 4))
    within = next((each for each in quarters if local_date(each, zone) == day), None)
    while within is not None and local_date(within - _MINUTE, zone) == day:
        within -= _MINUTE
    return within


def _begins(first: date, zone: tzinfo) -> Iterator[datetime | None]:
    for days in range(33):
        yield first_instant(first + timedelta(days=days), zone)


def on_air(schedule: Sequence[Document], now: datetime, zone: tzinfo) -> bool:
    """Whether the wall clock stands within a daypart; one that ends on the next day belongs to its first."""
    if not schedule:
        return True
    wall = now.astimezone(zone)
    today = _WEEKDAYS[wall.weekday()]
    yesterday = _WEEKDAYS[(wall.weekday() - 1) % 7]
    clock = f"{wall.hour:02}:{wall.minute:02}"  # to the minute: 21:59:59 is before 22:00
    for part in schedule:
        overnight = part["to"] <= part["from"]
        if today in part["days"] and part["from"] <= clock and (overnight or clock < part["to"]):
            return True
        if overnight and yesterday in part["days"] and clock < part["to"]:
            return True
    return False


def daypart_edges(schedule: Sequence[Document], now: datetime, zone: tzinfo) -> Iterator[datetime]:
    """When, in the next 15 days, a daypart can begin: as written, at a new day, when clocks change."""
    today = local_date(now, zone)
    for days in range(-1, 16):
        day = today + timedelta(days=days)
        for text in {"00:00", *(part["from"] for part in schedule)}:
            wall = datetime.combine(day, time.fromisoformat(text))
            for fold in (0, 1):
                yield wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        begin = datetime.combine(day, time(), UTC)
        if begin.astimezone(zone).utcoffset() != (begin + _DAY).astimezone(zone).utcoffset():
            yield from (begin + number * _QUARTER for number in range(24 * 4))


def active_share(campaign: Document, begin: datetime, now: datetime, end: datetime, zone: tzinfo) -> float:
    """The part of the active time from `begin` to `end` that has passed now, added up minute by minute."""
    schedule = campaign["schedule"] if campaign["schedule_timezone"] == "campaign" else []
    first = max(filter(None, (begin, instant(campaign["starts_at"]))))
    last = min(filter(None, (end, instant(campaign["ends_at"]))))
    if not schedule:
        return _overlap(first, last, begin, now) / (last - first) if first < last else 0.0
    passed = total = timedelta()
    minute = begin
    while minute < end:
        if on_air(schedule, minute, zone):
            total += _overlap(minute, minute + _MINUTE, first, last)
            passed += _overlap(minute, minute + _MINUTE, first, min(last, now))
        minute += _MINUTE
    return passed / total if total else 0.0


def _overlap(one: datetime, one_end: datetime, other: datetime, other_end: datetime) -> timedelta:
    return max(timedelta(), min(one_end, other_end) - max(one, other))
