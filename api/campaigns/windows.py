"""Windows of caps: how far back from `now` impressions count. Times in µs since the epoch, UTC."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

SECOND_US = 1_000_000
LONGEST_DAYS = 366
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Earlier than any impression: everything counts.
BEGINNING_US = -(2**63)

WindowKind = Literal["rolling", "day", "week", "month", "lifetime", "session"]
WindowStart = Callable[[int], int]

_NAMED: dict[str, WindowKind] = {
    "day": "day",
    "week": "week",
    "month": "month",
    "lifetime": "lifetime",
    "session": "session",
}
_UNIT_US = {"s": SECOND_US, "m": 60 * SECOND_US, "h": 3600 * SECOND_US, "d": 86_400 * SECOND_US}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """`length_us` is the length of a rolling window; 0 for the other kinds."""

    kind: WindowKind
    length_us: int = 0


def compile_window(window: Window, zone: ZoneInfo) -> WindowStart:
    """now_us → start_us, the same as `window_start` and cheap: an impression at t counts iff t >= start_us.

    A calendar window remembers its current period, so one compiled window belongs to one thread.
    """
    if window.kind == "lifetime":
        return lambda _now_us: BEGINNING_US
    if window.kind == "rolling":
        reach_us = window.length_us - 1
        return lambda now_us: now_us - reach_us

    start_us, end_us = 0, 0

    def calendar_start(now_us: int) -> int:
        nonlocal start_us, end_us
        # Both bounds: `now` may go backwards over a period's start, by a clock step or a replayed request.
        if not start_us <= now_us < end_us:
            start_us, end_us = _period(window.kind, now_us, zone)
        return start_us

    return calendar_start


def window_start(window: Window, now_us: int, zone: ZoneInfo) -> int:
    """First instant that counts at `now_us`. A rolling impression exactly `length_us` old no longer counts.

    A calendar period begins at the first instant of its first local date and lasts until the next one begins.
    So where clocks went back from after midnight to before it (St John's until 2010), the new day goes on.
    """
    if window.kind == "lifetime":
        return BEGINNING_US
    if window.kind == "rolling":
        return now_us - window.length_us + 1
    return _period(window.kind, now_us, zone)[0]


def window_left_us(window: Window, counted_us: int, now_us: int, zone: ZoneInfo) -> int:
    """When an impression at `counted_us`, which counts at `now_us`, will count no more.

    For a rolling or a calendar window.
    """
    if window.kind == "rolling":
        return counted_us + window.length_us
    # It may be of the next period, by the clock of another process.
    return _period(window.kind, max(counted_us, now_us), zone)[1]


def parse_window(text: str) -> Window:
    """Reads "24h" (from 1 s to 366 d), "day", "week", "month", "lifetime", "session"; else ValueError."""
    kind = _NAMED.get(text)
    if kind is not None:
        return Window(kind)
    if _DURATION.fullmatch(text) is None:
        raise ValueError(
            f"{text[:40]!r} is not a window: write a number and a unit (s, m, h, d) such as '24h', "
            "or 'day', 'week', 'month', 'session', 'lifetime'"
        )
    return Window("rolling", parse_duration(text))


def parse_duration(text: str) -> int:
    """Reads "90s", "30m", "24h", "7d" as microseconds; ValueError unless it is 1 s to 366 d."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is not a duration: write a number and a unit (s, m, h, d), such as '30m'"
        )
    length_us = int(match[1]) * _UNIT_US[match[2]]
    if not SECOND_US <= length_us <= LONGEST_DAYS * _UNIT_US["d"]:
        raise ValueError(f"{text!r} is out of range: write a length from '1s' to '{LONGEST_DAYS}d'")
    return length_us


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly (a float of seconds would round)."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def local_time(instant_us: int, zone: tzinfo) -> datetime:
    return (EPOCH + timedelta(microseconds=instant_us)).astimezone(zone)


def local_day(instant_us: int, zone: ZoneInfo) -> tuple[date, int, int]:
    """The calendar day around an instant: its date, its first instant, and the first one of the next day."""
    start_us, end_us = _period("day", instant_us, zone)
    return local_time(start_us, zone).date(), start_us, end_us


def _period(kind: WindowKind, now_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """[start, end) of the calendar period around `now_us`."""
    first = _first_date(kind, local_time(now_us, zone).date())
    start_us = _first_instant(first, zone)
    while True:
        following = _next_first_date(kind, first)
        end_us = _first_instant(following, zone)
        if now_us < end_us:
            return start_us, end_us
        # The local date went back over midnight; the period that has begun stays begun.
        first, start_us = following, end_us


def _first_date(kind: WindowKind, day: date) -> date:
    if kind == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if kind == "month" else day


def _next_first_date(kind: WindowKind, first: date) -> date:
    if kind == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if kind == "week" else 1)


def _first_instant(day: date, zone: ZoneInfo) -> int:
    """Earliest instant whose local date is `day`, or a later one if `day` was skipped (Apia, 2011-12-30)."""
    midnight = datetime.combine(day, time.min, zone)  # fold=0: the first of two midnights
    at_or_after_us = to_us(midnight)
    before_us = to_us(midnight.replace(fold=1))
    if before_us >= at_or_after_us:
        return at_or_after_us
    # Midnight falls into a gap: the only case where fold=1 is the earlier instant, one before the gap.
    # The gap may have begun before midnight, so find its end, to the second, between the two.
    while at_or_after_us - before_us > SECOND_US:
        middle_us = (before_us + at_or_after_us) // (2 * SECOND_US) * SECOND_US
        if local_time(middle_us, zone).date() >= day:
            at_or_after_us = middle_us
        else:
            before_us = middle_us
    return at_or_after_us
