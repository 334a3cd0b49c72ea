"""The edge of every window: the first instant that counts, to the microsecond."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from api.campaigns.windows import (
    BEGINNING_US,
    Window,
    compile_window,
    parse_duration,
    parse_window,
    to_us,
    window_left_us,
    window_start,
)
from tests.support.engine import cap, cap_reached

JAKARTA, NEW_YORK, UTC_ZONE = "Asia/Jakarta", "America/New_York", "UTC"
HAVANA, BEIRUT, SAO_PAULO, CAIRO = "America/Havana", "Asia/Beirut", "America/Sao_Paulo", "Africa/Cairo"

# (window, zone, now, first instant that counts)
EDGES = [
    # Rolling: an impression exactly as old as the window is long no longer counts.
    ("1s", UTC_ZONE, "2026-11-23T10:00:01Z", "2026-11-23T10:00:00.000001Z"),
    ("90s", UTC_ZONE, "2026-11-23T10:01:30Z", "2026-11-23T10:00:00.000001Z"),
    ("90s", UTC_ZONE, "2026-11-23T10:01:30.000001Z", "2026-11-23T10:00:00.000002Z"),
    ("30m", UTC_ZONE, "2026-11-23T00:10:00Z", "2026-11-22T23:40:00.000001Z"),
    ("60m", JAKARTA, "2026-11-23T00:30:00+07:00", "2026-11-22T23:30:00.000001+07:00"),
    ("24h", UTC_ZONE, "2026-11-23T10:00:00Z", "2026-11-22T10:00:00.000001Z"),
    ("24h", UTC_ZONE, "2026-11-23T09:59:59.999999Z", "2026-11-22T10:00:00Z"),
    ("1d", UTC_ZONE, "2024-03-01T00:00:00Z", "2024-02-29T00:00:00.000001Z"),
    ("7d", JAKARTA, "2026-11-23T08:00:00+07:00", "2026-11-16T08:00:00.000001+07:00"),
    ("366d", UTC_ZONE, "2025-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z"),
    ("365d", UTC_ZONE, "2025-01-01T00:00:00Z", "2024-01-02T00:00:00.000001Z"),
    # Rolling doesn't follow the clock's changes: 24 h are 24 h.
    ("24h", NEW_YORK, "2026-03-08T12:00:00-04:00", "2026-03-07T11:00:00.000001-05:00"),
    ("24h", NEW_YORK, "2026-11-01T12:00:00-05:00", "2026-10-31T13:00:00.000001-04:00"),
    # Calendar day.
    ("day", UTC_ZONE, "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"),
    ("day", UTC_ZONE, "2026-11-22T23:59:59.999999Z", "2026-11-22T00:00:00Z"),
    ("day", UTC_ZONE, "2026-11-23T23:59:59.999999Z", "2026-11-23T00:00:00Z"),
    ("day", JAKARTA, "2026-11-23T00:00:00+07:00", "2026-11-22T17:00:00Z"),
    ("day", JAKARTA, "2026-11-22T23:59:59.999999+07:00", "2026-11-21T17:00:00Z"),
    ("day", JAKARTA, "2026-11-22T17:00:00Z", "2026-11-23T00:00:00+07:00"),
    ("day", "Asia/Kathmandu", "2026-11-23T00:10:00+05:45", "2026-11-22T18:15:00Z"),
    ("day", "Pacific/Kiritimati", "2027-01-01T00:00:00+14:00", "2026-12-31T10:00:00Z"),
    ("day", "Pacific/Pago_Pago", "2026-12-31T23:59:59-11:00", "2026-12-31T11:00:00Z"),
    # Leap days and year ends.
    ("day", UTC_ZONE, "2024-02-29T12:00:00Z", "2024-02-29T00:00:00Z"),
    ("day", UTC_ZONE, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z"),
    ("day", JAKARTA, "2024-02-29T00:00:00+07:00", "2024-02-28T17:00:00Z"),
    ("day", UTC_ZONE, "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("day", JAKARTA, "2026-12-31T17:00:00Z", "2027-01-01T00:00:00+07:00"),
    ("month", UTC_ZONE, "2024-02-29T23:59:59.999999Z", "2024-02-01T00:00:00Z"),
    ("month", UTC_ZONE, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z"),
    ("month", UTC_ZONE, "2026-12-31T23:59:59.999999Z", "2026-12-01T00:00:00Z"),
    ("month", UTC_ZONE, "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("month", UTC_ZONE, "2026-01-31T12:00:00Z", "2026-01-01T00:00:00Z"),
    ("month", JAKARTA, "2026-10-31T17:00:00Z", "2026-11-01T00:00:00+07:00"),
    ("month", JAKARTA, "2026-10-31T16:59:59.999999Z", "2026-10-01T00:00:00+07:00"),
    # ISO weeks start on Monday, and belong to no year.
    ("week", UTC_ZONE, "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"),
    ("week", UTC_ZONE, "2026-11-22T23:59:59.999999Z", "2026-11-16T00:00:00Z"),
    ("week", UTC_ZONE, "2026-11-29T23:59:59.999999Z", "2026-11-23T00:00:00Z"),
    ("week", UTC_ZONE, "2027-01-01T12:00:00Z", "2026-12-28T00:00:00Z"),
    ("week", UTC_ZONE, "2027-01-03T23:59:59Z", "2026-12-28T00:00:00Z"),
    ("week", UTC_ZONE, "2027-01-04T00:00:00Z", "2027-01-04T00:00:00Z"),
    ("week", UTC_ZONE, "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    ("week", UTC_ZONE, "2024-12-31T12:00:00Z", "2024-12-30T00:00:00Z"),
    ("week", UTC_ZONE, "2024-03-01T00:00:00Z", "2024-02-26T00:00:00Z"),
    ("week", JAKARTA, "2026-11-22T17:00:00Z", "2026-11-23T00:00:00+07:00"),
    ("week", JAKARTA, "2026-11-22T16:59:59.999999Z", "2026-11-16T00:00:00+07:00"),
    # New York goes forward at 02:00 on 2026-03-08, a Sunday of 23 hours.
    ("day", NEW_YORK, "2026-03-08T01:59:59.999999-05:00", "2026-03-08T00:00:00-05:00"),
    ("day", NEW_YORK, "2026-03-08T03:00:00-04:00", "2026-03-08T00:00:00-05:00"),
    ("day", NEW_YORK, "2026-03-08T23:59:59.999999-04:00", "2026-03-08T00:00:00-05:00"),
    ("day", NEW_YORK, "2026-03-09T00:00:00-04:00", "2026-03-09T00:00:00-04:00"),
    ("week", NEW_YORK, "2026-03-08T23:59:59.999999-04:00", "2026-03-02T00:00:00-05:00"),
    ("week", NEW_YORK, "2026-03-09T00:00:00-04:00", "2026-03-09T00:00:00-04:00"),
    ("month", NEW_YORK, "2026-03-31T23:59:59.999999-04:00", "2026-03-01T00:00:00-05:00"),
    # … and back at 02:00 on 2026-11-01, a Sunday of 25 hours.
    ("day", NEW_YORK, "2026-11-01T01:30:00-04:00", "2026-11-01T00:00:00-04:00"),
    ("day", NEW_YORK, "2026-11-01T01:30:00-05:00", "2026-11-01T00:00:00-04:00"),
    ("day", NEW_YORK, "2026-11-01T23:59:59.999999-05:00", "2026-11-01T00:00:00-04:00"),
    ("day", NEW_YORK, "2026-11-02T00:00:00-05:00", "2026-11-02T00:00:00-05:00"),
    ("week", NEW_YORK, "2026-11-01T23:59:59.999999-05:00", "2026-10-26T00:00:00-04:00"),
    ("week", NEW_YORK, "2026-11-02T00:00:00-05:00", "2026-11-02T00:00:00-05:00"),
    ("month", NEW_YORK, "2026-11-30T23:59:59.999999-05:00", "2026-11-01T00:00:00-04:00"),
    ("month", NEW_YORK, "2026-11-01T03:59:59.999999Z", "2026-10-01T00:00:00-04:00"),
    # A midnight that doesn't exist: the day begins at 01:00.
    ("day", HAVANA, "2026-03-08T12:00:00-04:00", "2026-03-08T01:00:00-04:00"),
    ("day", HAVANA, "2026-03-08T04:59:59.999999Z", "2026-03-07T00:00:00-05:00"),
    ("day", BEIRUT, "2026-03-29T01:00:00+03:00", "2026-03-29T01:00:00+03:00"),
    ("day", SAO_PAULO, "2017-10-15T12:00:00-02:00", "2017-10-15T01:00:00-02:00"),
    ("day", CAIRO, "2024-04-26T12:00:00+03:00", "2024-04-26T01:00:00+03:00"),
    # A midnight that exists twice: the day begins at the first.
    ("day", HAVANA, "2026-11-01T00:30:00-04:00", "2026-11-01T00:00:00-04:00"),
    ("day", HAVANA, "2026-11-01T00:30:00-05:00", "2026-11-01T00:00:00-04:00"),
    ("month", HAVANA, "2026-11-01T00:00:00-05:00", "2026-11-01T00:00:00-04:00"),
    # From midnight back to 23:00: the old day goes on for an hour, the new one begins at the second midnight.
    ("day", BEIRUT, "2026-10-24T23:30:00+02:00", "2026-10-24T00:00:00+03:00"),
    ("day", BEIRUT, "2026-10-25T00:00:00+02:00", "2026-10-25T00:00:00+02:00"),
    ("day", SAO_PAULO, "2018-02-17T23:59:59.999999-03:00", "2018-02-17T00:00:00-02:00"),
    ("month", CAIRO, "2024-10-31T23:30:00+02:00", "2024-10-01T00:00:00+03:00"),
    ("month", CAIRO, "2024-11-01T00:00:00+02:00", "2024-11-01T00:00:00+02:00"),
    # From 00:01 back to 23:01: the day that has begun goes on.
    ("day", "America/St_Johns", "2010-11-07T00:00:30-02:30", "2010-11-07T00:00:00-02:30"),
    ("day", "America/St_Johns", "2010-11-06T23:30:00-03:30", "2010-11-07T00:00:00-02:30"),
    ("day", "America/St_Johns", "2010-11-07T12:00:00-03:30", "2010-11-07T00:00:00-02:30"),
    # A date that never was, and a gap that begins before midnight.
    ("day", "Pacific/Apia", "2011-12-29T23:59:59.999999-10:00", "2011-12-29T00:00:00-10:00"),
    ("day", "Pacific/Apia", "2011-12-31T00:00:00+14:00", "2011-12-31T00:00:00+14:00"),
    ("day", "America/Toronto", "1919-03-31T12:00:00-04:00", "1919-03-31T00:30:00-04:00"),
    # Half an hour.
    ("day", "Australia/Lord_Howe", "2026-04-05T12:00:00+10:30", "2026-04-05T00:00:00+11:00"),
]


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text))


@pytest.mark.parametrize(("window", "zone", "now", "start"), EDGES)
@pytest.mark.parametrize("limit", [1, 64])
def test_edge(window: str, zone: str, now: str, start: str, limit: int) -> None:
    parsed, zone_info, now_us, start_us = parse_window(window), ZoneInfo(zone), us(now), us(start)
    assert window_start(parsed, now_us, zone_info) == start_us
    rule = cap(limit, window, zone_info)
    newer = [now_us] * (limit - 1)
    assert cap_reached(rule, now_us, limit, [*newer, start_us])
    assert not cap_reached(rule, now_us, limit, [*newer, start_us - 1])
    assert not cap_reached(rule, now_us, limit - 1, newer)


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_remembered_period_gives_way_when_now_moves_either_way(kind: str) -> None:
    window, zone = parse_window(kind), ZoneInfo(NEW_YORK)
    compiled = compile_window(window, zone)
    first, last = us("2026-10-20T00:00:00-04:00"), us("2026-12-10T00:00:00-05:00")
    step = 7 * 3_600_000_000 + 1
    forwards = list(range(first, last, step))
    for now_us in [*forwards, *reversed(forwards)]:
        assert compiled(now_us) == window_start(window, now_us, zone)


def test_remembered_period_ends_with_its_last_microsecond() -> None:
    compiled = compile_window(Window("day"), ZoneInfo(JAKARTA))
    midnight, next_midnight = us("2026-11-23T00:00:00+07:00"), us("2026-11-24T00:00:00+07:00")
    assert compiled(midnight) == compiled(next_midnight - 1) == midnight
    assert compiled(next_midnight) == next_midnight
    assert compiled(next_midnight - 1) == midnight


@pytest.mark.parametrize("kind", ["day", "week", "month"])
@pytest.mark.parametrize("zone", [HAVANA, BEIRUT, "America/St_Johns", "Pacific/Apia"])
def test_a_period_once_begun_never_reopens_the_one_before(kind: str, zone: str) -> None:
    window, zone_info = parse_window(kind), ZoneInfo(zone)
    hours = range(us("2010-10-01T00:00:00Z"), us("2012-01-10T00:00:00Z"), 1_800_000_000)
    starts = [window_start(window, now_us, zone_info) for now_us in hours]
    assert starts == sorted(starts)


def test_lifetime_counts_totals_not_times() -> None:
    rule = cap(1_000, "lifetime", ZoneInfo("UTC"))
    assert cap_reached(rule, 0, 1_000, [])
    assert not cap_reached(rule, 0, 999, [0] * 64)
    assert window_start(Window("lifetime"), 0, ZoneInfo("UTC")) == BEGINNING_US
    assert compile_window(Window("lifetime"), ZoneInfo("UTC"))(0) == BEGINNING_US


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800), ("366d", 31_622_400)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds * 1_000_000
    assert parse_window(text) == Window("rolling", seconds * 1_000_000)


@pytest.mark.parametrize(
    "text", ["", "24", "h", "24 h", " 24h", "24h\n", "-1h", "1.5h", "1w", "1H", "Day", "٣h"]
)
def test_unreadable_windows_and_durations_name_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="number and a unit"):
        parse_window(text)
    with pytest.raises(ValueError, match="number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0d", "367d", "8785h", "999999999d"])
def test_windows_and_durations_out_of_range_name_it(text: str) -> None:
    with pytest.raises(ValueError, match="from '1s' to '366d'"):
        parse_window(text)
    with pytest.raises(ValueError, match="from '1s' to '366d'"):
        parse_duration(text)


def test_a_cooldown_has_no_calendar() -> None:
    with pytest.raises(ValueError, match="'day' is not a duration"):
        parse_duration("day")


def test_to_us_is_exact() -> None:
    assert to_us(datetime(2262, 4, 11, 23, 47, 16, 854775, tzinfo=UTC)) == 9_223_372_036_854_775


@pytest.mark.parametrize(
    ("window", "counted", "left"),
    [
        ("30m", "2026-10-31T23:40:00Z", "2026-11-01T00:10:00Z"),
        ("month", "2026-10-31T23:40:00Z", "2026-11-01T00:00:00Z"),
        # By the clock of a process that is a second ahead, the next month has begun.
        ("month", "2026-11-01T00:00:00.5Z", "2026-12-01T00:00:00Z"),
    ],
)
def test_when_an_impression_counts_no_more(window: str, counted: str, left: str) -> None:
    now_us = us("2026-10-31T23:59:59.9Z")
    assert window_left_us(parse_window(window), us(counted), now_us, ZoneInfo("UTC")) == us(left)
