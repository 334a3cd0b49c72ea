"""Caps against an oracle that knows no windows: it re-counts every raw time by its own age or local date."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engine import cap, cap_reached

KEPT_TIMES = 64

LENGTHS = {
    "1s": timedelta(seconds=1),
    "90s": timedelta(seconds=90),
    "30m": timedelta(minutes=30),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "31d": timedelta(days=31),
}

# Around these the clocks change or a period begins, in at least one of the zones.
MOMENTS = [
    datetime.fromisoformat(text)
    for text in (
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-03-08T05:00:00Z",
        "2026-11-01T05:00:00Z",
        "2026-03-28T22:00:00Z",
        "2026-10-24T21:00:00Z",
        "2017-10-15T03:00:00Z",
        "2018-02-18T02:00:00Z",
        "2024-04-25T22:00:00Z",
        "2024-10-31T21:00:00Z",
        "2011-12-30T10:00:00Z",
        "2024-02-29T00:00:00Z",
        "2024-02-28T17:00:00Z",
        "2026-12-31T17:00:00Z",
        "2027-01-01T00:00:00Z",
        "2027-01-03T17:00:00Z",
        "2026-11-22T17:00:00Z",
        "2026-10-31T17:00:00Z",
    )
]
ZONES = [
    "UTC",
    "Asia/Jakarta",
    "America/New_York",
    "America/Havana",
    "Asia/Beirut",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
]

DAY_US = 86_400_000_000
NEAR_US = st.integers(-3, 3)
HOURS = st.integers(-50, 50).map(lambda hours: timedelta(hours=hours))
NOWS = st.builds(
    lambda moment, shift, near: moment + shift + timedelta(microseconds=near),
    st.sampled_from(MOMENTS),
    st.one_of(
        st.just(timedelta()), HOURS, st.integers(-40 * DAY_US, 40 * DAY_US).map(lambda n: timedelta(0, 0, n))
    ),
    NEAR_US,
)
AGES = st.one_of(
    st.builds(
        lambda length, near: length + timedelta(microseconds=near),
        st.sampled_from([timedelta(), *LENGTHS.values(), *(timedelta(hours=n) for n in range(50))]),
        NEAR_US,
    ),
    st.integers(0, 70 * DAY_US).map(lambda age: timedelta(microseconds=age)),
).filter(lambda age: age >= timedelta())


def counted(window: str, zone: ZoneInfo, now: datetime, shown: list[datetime]) -> int:
    if window == "lifetime":
        return len(shown)
    if window in LENGTHS:
        return sum(now - each < LENGTHS[window] for each in shown)
    return sum(
        period(window, each.astimezone(zone)) == period(window, now.astimezone(zone)) for each in shown
    )


def period(window: str, local: datetime) -> tuple[int, ...]:
    if window == "day":
        return (local.year, local.month, local.day)
    return local.isocalendar()[:2] if window == "week" else (local.year, local.month)


def microseconds(moment: datetime) -> int:
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000 + moment.microsecond


@settings(max_examples=600, deadline=None)
@given(
    window=st.sampled_from([*LENGTHS, "day", "week", "month", "lifetime"]),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    limit=st.one_of(st.integers(1, 5), st.integers(1, KEPT_TIMES)),
    users=st.lists(st.tuples(NOWS, st.lists(AGES, max_size=KEPT_TIMES + 6)), min_size=1, max_size=5),
)
def test_a_cap_is_reached_when_the_raw_times_say_so(
    window: str, zone: ZoneInfo, limit: int, users: list[tuple[datetime, list[timedelta]]]
) -> None:
    # One compiled cap for all, as in a process: `now` jumps to and fro between the users.
    rule = cap(limit, window, zone)
    for now, ages in users:
        shown = [(now - age).astimezone(UTC) for age in ages]
        recent_us = sorted((microseconds(each) for each in shown), reverse=True)[:KEPT_TIMES]
        expected = counted(window, zone, now, shown) >= limit
        assert cap_reached(rule, microseconds(now), len(shown), recent_us) == expected


@settings(max_examples=200, deadline=None)
@given(window=st.sampled_from(["day", "week", "month"]), zone=st.sampled_from(ZONES).map(ZoneInfo), now=NOWS)
def test_one_impression_an_hour_is_counted_back_to_the_start_of_the_period(
    window: str, zone: ZoneInfo, now: datetime
) -> None:
    shown = [now - timedelta(hours=hours) for hours in range(KEPT_TIMES)]
    recent_us = [microseconds(each) for each in shown]
    expected = counted(window, zone, now, shown)
    reached = [
        cap_reached(cap(limit, window, zone), microseconds(now), KEPT_TIMES, recent_us)
        for limit in range(1, KEPT_TIMES + 1)
    ]
    assert reached.count(True) == expected
