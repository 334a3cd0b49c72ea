"""Curves of even paces: what is due when, by the minutes in which a campaign is active."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.campaigns.curve import Curve, Pace, pace_of
from api.campaigns.fields import WEEKDAYS, Daypart
from api.campaigns.model import Campaign
from api.campaigns.schedule import slots_of_week
from api.campaigns.windows import local_day, to_us
from tests.support.campaigns import document
from tests.support.dayparts import CLOCKS, inside

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
EVERY_DAY = " ".join(WEEKDAYS)
EVEN = {"per_day": 5, "pacing": "even"}
EVENING = [{"days": ["mon"], "from": "18:00", "to": "24:00"}]


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text))


def slot(days: str, start: str, end: str) -> Daypart:
    return Daypart.model_validate({"days": days.split(), "from": start, "to": end})


def day_curve(zone: str, noon: str, slots: Sequence[Daypart] = (), **flight: int) -> Curve:
    """Of the day of that zone around the instant."""
    ends = {"starts_us": None, "ends_us": None} | flight
    _, first_us, end_us = local_day(us(noon), ZoneInfo(zone))
    return Pace(ZoneInfo(zone), slots, **ends).over(first_us, end_us)


# 2026-11-23 is a Monday.
@pytest.mark.parametrize(
    ("zone", "slots", "at", "share"),
    [
        ("Asia/Jakarta", [], "2026-11-23T00:00:00+07:00", 0),
        ("Asia/Jakarta", [], "2026-11-23T06:00:00+07:00", 1 / 4),
        ("Asia/Jakarta", [], "2026-11-23T12:00:00+07:00", 1 / 2),
        # Days of 25 and of 23 hours.
        ("America/New_York", [], "2026-11-01T05:00:00+00:00", 1 / 25),
        ("America/New_York", [], "2026-11-01T12:00:00-05:00", 13 / 25),
        ("America/New_York", [], "2026-03-08T12:00:00-04:00", 11 / 23),
        # Dayparts: at rest outside of them.
        ("Asia/Jakarta", [slot("mon", "08:00", "12:00")], "2026-11-23T07:59:00+07:00", 0),
        ("Asia/Jakarta", [slot("mon", "08:00", "12:00")], "2026-11-23T09:00:00+07:00", 1 / 4),
        ("Asia/Jakarta", [slot("mon", "08:00", "12:00")], "2026-11-23T18:00:00+07:00", 1),
        ("Asia/Jakarta", [slot("mon", "08:00", "12:00")], "2026-11-24T18:00:00+07:00", 0),
        ("Asia/Jakarta", [slot("mon", "08:00", "09:00"), slot("mon", "20:00", "23:00")],
         "2026-11-23T21:00:00+07:00", 2 / 4),
        # Past midnight: the rest of Sunday's slot, and the first part of Monday's.
        ("UTC", [slot("sun mon", "22:00", "02:00")], "2026-11-23T01:00:00+00:00", 1 / 4),
        ("UTC", [slot("sun mon", "22:00", "02:00")], "2026-11-23T12:00:00+00:00", 2 / 4),
        ("UTC", [slot("sun mon", "22:00", "02:00")], "2026-11-23T23:00:00+00:00", 3 / 4),
        # A slot inside the repeated hour happens twice, one inside the skipped hour not at all.
        ("America/New_York", [slot(EVERY_DAY, "01:00", "02:00")], "2026-11-01T01:30:00-04:00", 1 / 4),
        ("America/New_York", [slot(EVERY_DAY, "01:00", "02:00")], "2026-11-01T01:30:00-05:00", 3 / 4),
        ("America/New_York", [slot(EVERY_DAY, "02:00", "03:00")], "2026-03-08T12:00:00-04:00", 0),
        ("America/New_York", [slot(EVERY_DAY, "00:00", "04:00")], "2026-03-08T03:00:00-04:00", 2 / 3),
    ],
)  # fmt: skip
def test_what_is_due_in_a_day(zone: str, slots: list[Daypart], at: str, share: float) -> None:
    assert day_curve(zone, at, slots).share(us(at)) == pytest.approx(share, abs=1e-12)


def test_a_day_in_which_a_campaign_starts_or_ends_is_shorter() -> None:
    noon, evening = us("2026-11-23T12:00:00+07:00"), us("2026-11-23T18:00:00+07:00")
    first = day_curve("Asia/Jakarta", "2026-11-23T12:00:00+07:00", starts_us=noon)
    assert (first.share(noon), first.share(evening)) == (0, 1 / 2)
    last = day_curve("Asia/Jakarta", "2026-11-23T12:00:00+07:00", ends_us=noon)
    assert (last.share(noon - 6 * HOUR_US), last.share(noon), last.share(evening)) == (1 / 2, 1, 1)
    other = day_curve("Asia/Jakarta", "2026-11-24T12:00:00+07:00", ends_us=noon)
    assert other.share(us("2026-11-24T12:00:00+07:00")) == 0


def test_a_flight_needs_both_ends() -> None:
    start, end = us("2026-03-01T00:00:00-05:00"), us("2026-12-01T00:00:00-05:00")
    zone = ZoneInfo("America/New_York")
    assert Pace(zone, [], start, None).flight is None
    assert Pace(zone, [], None, end).flight is None
    flight = Pace(zone, [], start, end).flight
    assert flight is not None
    assert flight.share(start + (end - start) // 4) == pytest.approx(1 / 4)


def test_a_flight_of_a_year_counts_its_slots_across_the_changes_of_the_clocks() -> None:
    """365 Sundays and other days of 4 hours, but one of them an hour shorter and one an hour longer."""
    zone = ZoneInfo("America/New_York")
    start, end = us("2026-01-01T00:00:00-05:00"), us("2027-01-01T00:00:00-05:00")
    flight = Pace(zone, [slot(EVERY_DAY, "00:00", "04:00")], start, end).flight
    assert flight is not None
    hours = 365 * 4
    assert flight.share(us("2026-02-01T12:00:00-05:00")) == pytest.approx(32 * 4 / hours)
    assert flight.share(us("2026-06-01T12:00:00-04:00")) == pytest.approx((152 * 4 - 1) / hours)
    assert flight.share(us("2026-12-01T12:00:00-05:00")) == pytest.approx(335 * 4 / hours)


def test_an_endless_flight_is_still_compiled() -> None:
    start, end = us("1970-01-02T00:00:00+00:00"), us("9998-01-01T00:00:00+00:00")
    flight = Pace(ZoneInfo("America/New_York"), [slot("mon", "08:00", "09:00")], start, end).flight
    assert flight is not None
    assert flight.share((start + end) // 2) == pytest.approx(1 / 2, abs=1e-4)
    assert len(flight._pieces) <= 4001, "not one for each change of the clocks"


SLOTS = st.builds(
    lambda days, start, end: Daypart.model_validate({"days": days, "from": start, "to": end}),
    st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True),
    CLOCKS,
    CLOCKS,
)


@settings(max_examples=60, deadline=None)
@given(
    slots=st.lists(SLOTS, min_size=1, max_size=3),
    zone=st.sampled_from(["America/New_York", "America/Havana", "Asia/Kathmandu"]),
    # Days around a change of the clocks in New York and Havana.
    first=st.integers(1_793_300_000 // 60, 1_793_600_000 // 60),
    minutes=st.integers(1, 3000),
    asked=st.lists(st.integers(0, 3000), min_size=1, max_size=5),
)
def test_a_curve_is_the_minutes_counted_one_by_one(
    slots: list[Daypart], zone: str, first: int, minutes: int, asked: list[int]
) -> None:
    utc = datetime.fromtimestamp(first * 60, UTC)
    counted = [0]
    for minute in range(minutes):
        local = (utc + timedelta(minutes=minute)).astimezone(ZoneInfo(zone))
        counted.append(counted[-1] + inside(slots, local))
    curve = Pace(ZoneInfo(zone), slots, None, None).over(first * MINUTE_US, (first + minutes) * MINUTE_US)
    for minute in asked:
        expected = counted[min(minute, minutes)] / counted[-1] if counted[-1] else 0
        assert curve.share((first + minute) * MINUTE_US) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("slots", "found"),
    [
        ([slot("mon", "08:00", "09:00")], [(480, 540)]),
        ([slot("mon", "08:00", "09:00"), slot("mon", "08:30", "10:00")], [(480, 600)]),
        ([slot("sun", "23:00", "01:00")], [(0, 60), (10_020, 10_080)]),
        ([slot(EVERY_DAY, "00:00", "24:00")], [(0, 10_080)]),
    ],
)
def test_the_slots_of_a_week(slots: list[Daypart], found: list[tuple[int, int]]) -> None:
    assert slots_of_week(slots) == found


@pytest.mark.parametrize(
    ("fields", "morning"),
    [
        ({"budget": {"per_day": 5}}, None),
        ({}, None),
        ({"budget": EVEN}, 1 / 4),
        ({"budget": EVEN, "schedule": EVENING}, 0),
        # Each user's clock is another: there is no one curve.
        ({"budget": EVEN, "schedule": EVENING, "schedule_timezone": "user"}, 1 / 4),
    ],
)
def test_the_pace_of_a_campaign(fields: dict[str, object], morning: float | None) -> None:
    campaign = Campaign.model_validate(document(1, timezone="Asia/Jakarta", **fields))
    pace = pace_of(campaign, ZoneInfo("Asia/Jakarta"))
    if pace is None:
        assert morning is None
        return
    curve = pace.over(us("2026-11-23T00:00:00+07:00"), us("2026-11-24T00:00:00+07:00"))
    assert curve.share(us("2026-11-23T06:00:00+07:00")) == morning
