"""Even pacing in one process: the curve as the limit, and what was served and is not yet confirmed."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.campaigns.budget import Lease, Shortage, SoftBudget, Stock
from api.campaigns.curve import Pace
from api.campaigns.live import compile_campaign
from api.campaigns.model import Campaign
from api.campaigns.pacing import InFlight
from api.campaigns.windows import to_us
from tests.support.campaigns import document, live

JAKARTA = ZoneInfo("Asia/Jakarta")
TODAY = date(2026, 11, 23)
MIDNIGHT = to_us(datetime(2026, 11, 23, tzinfo=JAKARTA))
HOUR = 3_600_000_000
SECOND = 1_000_000
NOON = MIDNIGHT + 12 * HOUR
TOMORROW = MIDNIGHT + 24 * HOUR


def even(
    per_day: int | None = None, total: int | None = None, *, flight: tuple[int, int] | None = None
) -> SoftBudget:
    starts_us, ends_us = flight or (None, None)
    made = SoftBudget(JAKARTA, total=total, per_day=per_day, pace=Pace(JAKARTA, (), starts_us, ends_us))
    made.update(total=0, by_day={}, watermark=0)
    return made


def spent(budget: SoftBudget, today: int, *, before: int = 0, processes: int = 1) -> None:
    budget.update(total=before + today, by_day={TODAY: today}, watermark=0, processes=processes)


# The curve.


def test_an_even_share_of_the_day_is_due() -> None:
    some = even(per_day=24)
    spent(some, 11)
    assert some.has_room(NOON)
    spent(some, 12)
    assert some.why_not(NOON) == Shortage("paced", "per_day", 12, 12, NOON + 1)
    assert some.has_room(NOON + 1)
    spent(some, 13)
    assert some.why_not(NOON) == Shortage("paced", "per_day", 13, 12, NOON + HOUR + 1)
    spent(some, 30)
    assert some.why_not(NOON) == Shortage("out_of_budget", "per_day", 30, 24, TOMORROW)
    assert some.has_room(TOMORROW + 1), "a day has a budget of its own"


def test_a_total_is_spread_over_the_flight() -> None:
    some = even(total=48, flight=(MIDNIGHT - 24 * HOUR, TOMORROW))
    spent(some, 12, before=24)
    assert some.why_not(NOON) == Shortage("paced", "total", 36, 36, NOON + 1)
    spent(some, 0, before=48)
    assert some.why_not(NOON) == Shortage("out_of_budget", "total", 48, 48, None)


def test_after_the_flight_no_day_is_due_anything() -> None:
    some = even(per_day=24, flight=(MIDNIGHT - 48 * HOUR, MIDNIGHT - 24 * HOUR))
    assert some.why_not(NOON) == Shortage("paced", "per_day", 0, 0, TOMORROW)


def test_a_total_without_both_ends_has_no_curve() -> None:
    some = even(total=48, per_day=24)
    spent(some, 11, before=30)
    assert some.has_room(NOON)
    spent(some, 11, before=37)
    assert some.why_not(NOON) == Shortage("out_of_budget", "total", 48, 48, None)


def test_both_curves_hold() -> None:
    some = even(total=48, per_day=36, flight=(MIDNIGHT, MIDNIGHT + 48 * HOUR))
    spent(some, 12)
    assert some.why_not(NOON) == Shortage("paced", "total", 12, 12, NOON + 1)
    some = even(total=480, per_day=24, flight=(MIDNIGHT, MIDNIGHT + 48 * HOUR))
    spent(some, 12)
    assert some.why_not(NOON) == Shortage("paced", "per_day", 12, 12, NOON + 1)


def test_nothing_is_known_before_the_first_look() -> None:
    for total, per_day, limit in ((5, None, "total"), (5, 5, "total"), (None, 5, "per_day")):
        unread = SoftBudget(JAKARTA, total=total, per_day=per_day)
        assert not unread.has_room(NOON)
        assert unread.why_not(NOON) == ("out_of_budget", limit, 0, 0, None)


def test_a_stock_tells_that_it_has_no_units() -> None:
    for per_day, limit in ((True, "per_day"), (False, "total")):
        stock = Stock(JAKARTA, per_day=per_day)
        assert stock.why_not(NOON) == ("out_of_budget", limit, 0, 0, None)
        stock.add(Lease(1, 1, stock.day_at(NOON)))
        assert stock.why_not(NOON) is None
        stock.reserve(NOON)
        assert stock.why_not(NOON) is not None


def test_a_budget_changed_at_noon_follows_its_new_curve() -> None:
    fields = {"timezone": "Asia/Jakarta"}
    before = live(1, **fields, budget={"per_day": 24, "pacing": "even"})
    assert isinstance(before.budget, SoftBudget)
    spent(before.budget, 12)
    assert not before.budget.has_room(NOON)
    for budget, room in (
        ({"per_day": 48, "pacing": "even"}, True),
        ({"per_day": 20, "pacing": "even"}, False),
        ({"per_day": 24}, True),
        ({"per_day": 24, "pacing": "even"}, False),
    ):
        after = compile_campaign(Campaign.model_validate(document(1, **fields, budget=budget)), before)
        assert after.budget is before.budget
        assert after.budget.has_room(NOON) is room


# What is in flight.


def test_what_was_served_holds_back_until_it_is_confirmed_or_given_up() -> None:
    some = even(per_day=24)
    spent(some, 10)
    for _ in range(2):
        assert some.has_room(NOON)
        some.reserve(NOON)
    short = some.why_not(NOON)
    assert short is not None
    assert short[:4] == ("paced", "per_day", 10, 12), "spent is what is spent"
    assert short.until_us is not None
    assert NOON < short.until_us < NOON + 60 * SECOND
    assert not some.has_room(short.until_us - 1)
    assert some.has_room(short.until_us)


def test_an_asap_budget_reckons_only_with_impressions() -> None:
    some = SoftBudget(JAKARTA, total=None, per_day=2)
    some.update(total=0, by_day={}, watermark=0)
    for _ in range(5):
        some.reserve(NOON)
    assert some.has_room(NOON)


@pytest.mark.parametrize(
    "some",
    [
        SoftBudget(JAKARTA, total=None, per_day=240, pace=Pace(JAKARTA, (), None, None)),
        SoftBudget(JAKARTA, total=240, per_day=None, pace=Pace(JAKARTA, (), MIDNIGHT, TOMORROW)),
    ],
    ids=["per_day", "total"],
)
def test_while_nothing_is_merged_the_others_are_taken_to_be_as_busy(some: SoftBudget) -> None:
    spent(some, 100, processes=4)
    for seq in range(1, 6):
        some.add_pending(seq, NOON - 60 * SECOND)
    short = some.why_not(NOON)
    assert short is not None
    assert (short.used, short.allowed) == (105, 120), "5 of each of the 4 make 120"
    some.update(total=110, by_day={TODAY: 110}, watermark=5, processes=4)
    assert some.has_room(NOON), "it is merged, and the others had less"


def test_expectations_fade_with_the_delay_that_is_seen() -> None:
    quick, slow = InFlight(), InFlight()
    for flight, delay in ((quick, 2 * SECOND), (slow, 300 * SECOND)):
        for _ in range(150):
            flight.confirmed(delay)
        flight.served(NOON)
        assert flight.expected(NOON, 1) == 1
    assert quick.expected(NOON + 30 * SECOND, 1) < 0.02
    assert slow.expected(NOON + 30 * SECOND, 1) > 0.85
    late = InFlight()
    for _ in range(150):
        late.confirmed(86_400 * SECOND)
    assert late.delay_us <= 600 * SECOND, "a phone that was offline for a day counts as ten minutes"


def test_a_popup_stands_for_what_popups_have_brought() -> None:
    """Of ten popups of this process one was confirmed, and three of other processes' popups."""
    flight = InFlight()
    for number in range(2000):
        flight.served(NOON + number * SECOND)
        if number % 10 == 0:
            flight.spent(4)
    later = NOON + 4000 * SECOND
    assert flight.expected(later, 4) < 1e-9
    flight.served(later)
    # 20 popups that never were are taken to bring 4 each, beside some 100 to 200 that were counted.
    assert 0.4 < flight.expected(later, 4) < 1.2
    assert flight.expected(later, 1) <= 1


def test_what_popups_bring_is_learned_anew() -> None:
    flight = InFlight()
    for number in range(3000):
        flight.served(NOON + number * SECOND)
        if number >= 2700:
            flight.spent(1)
    later = NOON + 4000 * SECOND
    flight.served(later)
    assert 0.6 < flight.expected(later, 1) <= 1, "none of 2,700, then each of 300"


def test_delays_are_learned_anew() -> None:
    flight = InFlight()
    for number in range(3000):
        flight.confirmed((2 if number < 2700 else 100) * SECOND)
    assert 75 * SECOND < flight.delay_us < 100 * SECOND


def test_impressions_from_before_a_process_paces_are_not_what_its_popups_brought() -> None:
    started = SoftBudget(JAKARTA, total=None, per_day=2_000_000, pace=Pace(JAKARTA, (), None, None))
    spent(started, 1_000_000)
    turned = SoftBudget(JAKARTA, total=None, per_day=2_000_000)
    spent(turned, 0)
    spent(turned, 1_000_000)
    turned.limit(JAKARTA, total=None, per_day=2_000_000, pace=Pace(JAKARTA, (), None, None))
    for some in (started, turned):
        for _ in range(150):
            some.reserve(NOON - HOUR)
        some.reserve(NOON)
        assert some._in_flight.expected(NOON, 1) < 0.2, "nothing has come of 150"


def test_a_clock_that_goes_back_changes_nothing() -> None:
    flight = InFlight()
    flight.served(NOON)
    assert flight.expected(NOON - HOUR, 1) == 1
    flight.served(NOON - HOUR)
    assert flight.expected(NOON, 1) == 2


STEPS = st.one_of(
    st.tuples(st.just("serve"), st.integers(1, 30)),
    st.tuples(st.just("confirm"), st.integers(0, 100)),
    st.tuples(st.just("merge"), st.integers(0, 100)),
    st.tuples(st.just("wait"), st.integers(1, 7200)),
)


@given(
    per_day=st.none() | st.integers(1, 200),
    total=st.none() | st.integers(1, 400),
    even_pace=st.booleans(),
    processes=st.integers(1, 8),
    steps=st.lists(STEPS, max_size=40),
)
def test_there_is_room_exactly_if_there_is_no_reason_against_it(
    per_day: int | None, total: int | None, even_pace: bool, processes: int, steps: list[tuple[str, int]]
) -> None:
    if per_day is None and total is None:
        return
    pace = Pace(JAKARTA, (), MIDNIGHT - 24 * HOUR, TOMORROW + 24 * HOUR) if even_pace else None
    some = SoftBudget(JAKARTA, total=total, per_day=per_day, pace=pace)
    now, seq, merged = MIDNIGHT, 0, 0
    for kind, number in steps:
        if kind == "wait":
            now += number * SECOND
        elif kind == "merge":
            merged += number
            some.update(total=merged, by_day={TODAY: merged}, watermark=seq, processes=processes)
        else:
            for _ in range(number):
                seq += kind == "confirm"
                if kind == "confirm":
                    some.add_pending(seq, now, now - 5 * SECOND)
                else:
                    some.reserve(now)
        short = some.why_not(now)
        assert some.has_room(now) is (short is None)
        if short is not None and short.until_us is not None:
            assert short.until_us > now


@pytest.mark.parametrize("served_for", [0, 3])
def test_until_is_the_first_instant_with_room(served_for: int) -> None:
    some = even(per_day=86_400)
    spent(some, 43_210)
    for _ in range(served_for):
        some.reserve(NOON)
    short = some.why_not(NOON)
    assert short is not None
    assert short.until_us is not None
    assert not some.has_room(short.until_us - 1)
    assert some.has_room(short.until_us)
    assert datetime.fromtimestamp(short.until_us / SECOND, UTC) > datetime(2026, 11, 23, 5, 0, 9, tzinfo=UTC)
