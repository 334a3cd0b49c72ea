"""Start and end to the microsecond, dayparts by the wall clock, whatever the clock does."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.campaigns.fields import WEEKDAYS, Daypart, Weekday
from api.campaigns.rules import OUTSIDE_SCHEDULE, Flight, InSlot, Rule
from api.campaigns.schedule import Slots, slots_of
from api.campaigns.windows import to_us
from tests.support.dayparts import CLOCKS, inside
from tests.support.engine import ask

UTC_ZONE = ZoneInfo("UTC")


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text))


def slot(days: str, start: str, end: str) -> Daypart:
    return Daypart.model_validate({"days": days.split(), "from": start, "to": end})


def compile_schedule(
    starts_us: int | None, ends_us: int | None, schedule: list[Daypart], zone: ZoneInfo
) -> Callable[[int], bool]:
    """now_us → is a campaign with these active?"""
    flight = Flight(-(2**63) if starts_us is None else starts_us, 2**63 if ends_us is None else ends_us)
    slots = slots_of(schedule)
    rules: list[Rule] = [flight] if slots is None else [flight, InSlot(slots, zone, follows_user=False)]
    return lambda now_us: all(rule.fails(ask(now_us=now_us), None) is None for rule in rules)


EVERY_DAY = " ".join(WEEKDAYS)
OFFICE = slot("mon tue", "08:00", "22:00")
NIGHT = slot("fri", "22:00", "02:00")
SUNDAY_NIGHT = slot("sun", "23:00", "01:00")
SKIPPED_HOUR = slot(EVERY_DAY, "02:00", "03:00")
REPEATED_HOUR = slot(EVERY_DAY, "01:00", "02:00")


@pytest.mark.parametrize(
    ("now", "active"),
    [
        ("2026-10-31T16:59:59.999999Z", False),
        ("2026-10-31T17:00:00Z", True),
        ("2026-11-15T00:00:00Z", True),
        ("2026-11-30T16:59:59.999999Z", True),
        ("2026-11-30T17:00:00Z", False),
    ],
)
@pytest.mark.parametrize("schedule", [[], [slot(EVERY_DAY, "00:00", "24:00")]])
def test_start_is_inclusive_and_end_exclusive(now: str, active: bool, schedule: list[Daypart]) -> None:
    starts_us, ends_us = us("2026-11-01T00:00:00+07:00"), us("2026-12-01T00:00:00+07:00")
    assert compile_schedule(starts_us, ends_us, schedule, ZoneInfo("Asia/Jakarta"))(us(now)) is active


@pytest.mark.parametrize("schedule", [[], [slot(EVERY_DAY, "00:00", "24:00")]])
def test_an_open_end_is_open(schedule: list[Daypart]) -> None:
    start_us = us("2026-11-01T00:00:00Z")
    assert compile_schedule(None, None, schedule, UTC_ZONE)(0)
    assert compile_schedule(None, None, schedule, UTC_ZONE)(us("2999-01-01T00:00:00Z"))
    assert compile_schedule(None, start_us, schedule, UTC_ZONE)(start_us - 1)
    assert not compile_schedule(None, start_us, schedule, UTC_ZONE)(start_us)
    assert compile_schedule(start_us, None, schedule, UTC_ZONE)(start_us)
    assert not compile_schedule(start_us, None, schedule, UTC_ZONE)(start_us - 1)


# 2026-11-23 is a Monday.
DAYPARTS = [
    (OFFICE, "Asia/Jakarta", "2026-11-23T07:59:59.999999+07:00", False),
    (OFFICE, "Asia/Jakarta", "2026-11-23T08:00:00+07:00", True),
    (OFFICE, "Asia/Jakarta", "2026-11-23T21:59:59.999999+07:00", True),
    (OFFICE, "Asia/Jakarta", "2026-11-23T22:00:00+07:00", False),
    (OFFICE, "Asia/Jakarta", "2026-11-24T08:00:00+07:00", True),
    (OFFICE, "Asia/Jakarta", "2026-11-25T08:00:00+07:00", False),
    (OFFICE, "Asia/Jakarta", "2026-11-22T12:00:00+07:00", False),
    (OFFICE, "Asia/Kathmandu", "2026-11-23T02:14:59.999999Z", False),
    (OFFICE, "Asia/Kathmandu", "2026-11-23T02:15:00Z", True),
    # Past midnight: the slot belongs to the Friday on which it starts.
    (NIGHT, "UTC", "2026-11-27T21:59:59.999999Z", False),
    (NIGHT, "UTC", "2026-11-27T22:00:00Z", True),
    (NIGHT, "UTC", "2026-11-28T01:59:59.999999Z", True),
    (NIGHT, "UTC", "2026-11-28T02:00:00Z", False),
    (NIGHT, "UTC", "2026-11-27T01:00:00Z", False),
    (NIGHT, "UTC", "2026-11-28T22:00:00Z", False),
    # From the week's last day into its first.
    (SUNDAY_NIGHT, "UTC", "2026-11-22T23:00:00Z", True),
    (SUNDAY_NIGHT, "UTC", "2026-11-23T00:59:59.999999Z", True),
    (SUNDAY_NIGHT, "UTC", "2026-11-23T01:00:00Z", False),
    (SUNDAY_NIGHT, "UTC", "2026-11-22T00:30:00Z", False),
    # "24:00" and "00:00" end with the day; equal times make 24 hours.
    (slot("mon", "20:00", "24:00"), "UTC", "2026-11-23T23:59:59.999999Z", True),
    (slot("mon", "20:00", "24:00"), "UTC", "2026-11-24T00:00:00Z", False),
    (slot("mon", "20:00", "00:00"), "UTC", "2026-11-23T23:59:59.999999Z", True),
    (slot("mon", "20:00", "00:00"), "UTC", "2026-11-24T00:00:00Z", False),
    (slot("mon", "08:00", "08:00"), "UTC", "2026-11-23T07:59:59.999999Z", False),
    (slot("mon", "08:00", "08:00"), "UTC", "2026-11-24T07:59:59.999999Z", True),
    (slot("mon", "08:00", "08:00"), "UTC", "2026-11-24T08:00:00Z", False),
    # New York, 2026-03-08: 02:00 to 03:00 is skipped, so nothing is inside that slot.
    (SKIPPED_HOUR, "America/New_York", "2026-03-08T01:59:59.999999-05:00", False),
    (SKIPPED_HOUR, "America/New_York", "2026-03-08T03:00:00-04:00", False),
    (SKIPPED_HOUR, "America/New_York", "2026-03-09T02:00:00-04:00", True),
    # 2026-11-01: 01:00 to 02:00 happens twice, and the slot too.
    (REPEATED_HOUR, "America/New_York", "2026-11-01T00:59:59.999999-04:00", False),
    (REPEATED_HOUR, "America/New_York", "2026-11-01T01:00:00-04:00", True),
    (REPEATED_HOUR, "America/New_York", "2026-11-01T01:59:59.999999-05:00", True),
    (REPEATED_HOUR, "America/New_York", "2026-11-01T02:00:00-05:00", False),
]


@pytest.mark.parametrize(("daypart", "zone", "now", "active"), DAYPARTS)
def test_daypart(daypart: Daypart, zone: str, now: str, active: bool) -> None:
    assert compile_schedule(None, None, [daypart], ZoneInfo(zone))(us(now)) is active


DAYS: st.SearchStrategy[list[Weekday]] = st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True)
SLOTS = st.builds(
    lambda days, start, end: slot(" ".join(days), start, end),
    DAYS,
    CLOCKS,
    st.one_of(CLOCKS, st.just("24:00")),
)


@settings(max_examples=300, deadline=None)
@given(
    slots=st.lists(SLOTS, min_size=1, max_size=3),
    zone=st.sampled_from(["UTC", "America/New_York", "America/Havana", "Asia/Kathmandu"]).map(ZoneInfo),
    # Two weeks around a change of the clocks in New York and Havana, to the second.
    seconds=st.lists(st.integers(1_793_000_000, 1_794_200_000), min_size=1, max_size=20),
)
def test_dayparts_agree_with_the_wall_clock(slots: list[Daypart], zone: ZoneInfo, seconds: list[int]) -> None:
    active = compile_schedule(None, None, slots, zone)
    for second in seconds:
        assert active(second * 1_000_000) == inside(slots, datetime.fromtimestamp(second, zone))


@pytest.mark.parametrize(
    ("zone", "start", "end", "now", "again"),
    [
        # Back from 02:00 to 01:00, into the midst of the slot that had ended at 01:30.
        ("America/St_Johns", "00:30", "01:30", "2026-11-01T04:29:59Z", "2026-11-01T04:30:00Z"),
        ("Australia/Lord_Howe", "02:30", "01:31", "2026-04-04T14:31:30Z", "2026-04-04T15:00:00Z"),
        # Forward from 02:00 to 03:00, past the start.
        ("America/New_York", "02:30", "04:00", "2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z"),
        ("Asia/Jakarta", "08:00", "22:00", "2026-03-08T15:00:00Z", "2026-03-09T01:00:00Z"),
    ],
)
def test_the_next_opening_is_told_where_clocks_change(
    zone: str, start: str, end: str, now: str, again: str
) -> None:
    rule = InSlot(Slots([slot(EVERY_DAY, start, end)]), ZoneInfo(zone), follows_user=False)
    asked = ask(now_us=us(now))
    assert rule.fails(asked, None) == OUTSIDE_SCHEDULE
    assert rule.explained(asked, None)[1] == us(again)
