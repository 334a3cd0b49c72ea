"""When a campaign is active: start to end, within its dayparts. Times: µs since the epoch, UTC."""

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from api.campaigns.fields import WEEKDAYS, Daypart
from api.campaigns.windows import local_time

Active = Callable[[int], bool]

MINUTE_US = 60_000_000
DAY_MINUTES = 1440
WEEK_MINUTES = 7 * DAY_MINUTES

# Before and after every `now`: a campaign without a start or an end.
_ALWAYS_US = 2**63


def compile_schedule(
    starts_us: int | None, ends_us: int | None, schedule: Sequence[Daypart], zone: ZoneInfo
) -> Active:
    """now_us → is the campaign active? Start inclusive, end exclusive; no dayparts means the whole day.

    A daypart is decided by the wall clock of `zone` as it reads at `now`. So where clocks go forward, a slot
    inside the skipped hour doesn't happen that day, and one that spans it is shorter; where they go back, a
    slot inside the repeated hour happens twice. A slot past midnight belongs to the day on which it starts.

    The answer for the current minute is remembered, so one compiled schedule belongs to one thread.
    """
    first_us = -_ALWAYS_US if starts_us is None else starts_us
    end_us = _ALWAYS_US if ends_us is None else ends_us
    if not schedule:
        return lambda now_us: first_us <= now_us < end_us

    week = _week_of_minutes(schedule)
    minute, in_slot = -1, False

    def active(now_us: int) -> bool:
        nonlocal minute, in_slot
        if not first_us <= now_us < end_us:
            return False
        # Slots begin on whole minutes, and so have all changes of all zones' clocks since 1972: nothing can
        # change within a minute of UTC.
        if now_us // MINUTE_US != minute:
            minute = now_us // MINUTE_US
            local = local_time(now_us, zone)
            in_slot = bool(week[local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute])
        return in_slot

    return active


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
