"""Rates of users and keys against their definition: in any time, the burst and what the rate gives."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.limits import RateLimit, limits
from api.config import ApiConfig
from api.errors import ProblemError

SECOND = 1_000_000_000
RATES = st.one_of(
    st.floats(0.01, 1e6, allow_nan=False), st.sampled_from([0.1, 1 / 3, 1.0, 3.0, 7.0, 10.0, 1e6])
)
BURSTS = st.integers(1, 20)


class Clock:
    def __init__(self, now: int = 5) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def limit(clock: Clock, *, per_second: float = 10.0, burst: int = 3, max_subjects: int = 1000) -> RateLimit:
    return RateLimit("user", per_second=per_second, burst=burst, max_subjects=max_subjects, clock_ns=clock)


def waits(rate: RateLimit, subject: str = "ani") -> int:
    """The Retry-After of a request that is refused; 0 for one that is admitted."""
    try:
        rate.admit(subject)
    except ProblemError as error:
        return int((error.headers or {})["Retry-After"])
    return 0


def admitted(rate: RateLimit, subject: str = "ani") -> bool:
    return waits(rate, subject) == 0


@given(
    per_second=RATES,
    burst=BURSTS,
    pauses=st.lists(st.floats(0, 4, allow_nan=False), min_size=1, max_size=120),
)
def test_in_any_window_at_most_the_burst_and_the_rate(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    """Pauses in multiples of the rate's interval, so that requests come close to what is admitted."""
    clock = Clock()
    rate = limit(clock, per_second=per_second, burst=burst)
    moments = []
    for number, pause in enumerate(pauses):
        clock.now += int(pause * SECOND / per_second)
        if number % 5 == 0:
            rate.admit(f"stranger {number}")
        if admitted(rate):
            moments.append(clock.now)
    assert rate.early_turns == 0
    for first, begun in enumerate(moments):
        for last in range(first, len(moments)):
            seconds = (moments[last] - begun) / SECOND
            assert last - first + 1 <= burst + seconds * per_second + 1e-6


@given(per_second=RATES, burst=BURSTS, pauses=st.lists(st.floats(0, 2, allow_nan=False), max_size=60))
def test_whoever_waits_as_long_as_he_is_told_is_admitted(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    rate = limit(clock, per_second=per_second, burst=burst)
    for pause in [*pauses, *[0.0] * burst * 2]:
        clock.now += int(pause * SECOND / per_second)
        if (wait := waits(rate)) > 0:
            assert wait <= ceil(1 / Fraction(str(per_second)))
            clock.now += wait * SECOND
            assert admitted(rate)


@given(per_second=RATES, burst=BURSTS, gone=st.floats(0, 100, allow_nan=False))
def test_whoever_keeps_to_the_rate_is_never_refused(per_second: float, burst: int, gone: float) -> None:
    clock = Clock()
    rate = limit(clock, per_second=per_second, burst=burst, max_subjects=4)
    interval = ceil(SECOND / Fraction(str(per_second)))
    assert all(admitted(rate) for _ in range(burst))
    for number in range(100):
        clock.now += interval
        admitted(rate, f"flooder {number}")  # of others' doings nobody has to suffer
        assert admitted(rate)
    clock.now += ceil(gone * SECOND) + burst * interval
    assert all(admitted(rate) for _ in range(burst))
    assert not admitted(rate)


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    rate = limit(clock, per_second=1.0, burst=2)
    assert [admitted(rate) for _ in range(50)] == [True] * 2 + [False] * 48
    clock.now += SECOND
    assert [admitted(rate) for _ in range(2)] == [True, False]
    assert rate.refused == 49


def test_generations_turn_in_time_and_let_go_of_everybody() -> None:
    clock = Clock()
    rate = limit(clock, per_second=1.0, burst=3)
    for number in range(300):
        clock.now += SECOND // 10
        assert admitted(rate, f"user {number}")
    assert len(rate) <= 60
    assert rate.early_turns == 0


def test_a_debt_outlives_a_turn_in_time() -> None:
    clock = Clock()
    rate = limit(clock, per_second=1.0, burst=3)
    clock.now += 3 * SECOND - 1
    assert [admitted(rate) for _ in range(3)] == [True] * 3
    for _ in range(29):
        clock.now += SECOND // 10
        admitted(rate, "budi")
    assert [admitted(rate) for _ in range(3)] == [True, True, False]
    assert rate.early_turns == 0


def test_memory_is_bounded_whoever_comes() -> None:
    clock = Clock()
    rate = limit(clock, per_second=1.0, burst=100, max_subjects=2000)
    most = 0
    for number in range(100_000):
        assert admitted(rate, f"user {number}")
        most = max(most, len(rate))
    assert most <= 2000
    assert rate.early_turns == 99


def test_who_is_forgotten_early_gets_one_burst_more_and_no_more() -> None:
    """As long as he goes on asking he isn't forgotten, however many others come."""
    clock = Clock()
    rate = limit(clock, per_second=1.0, burst=3, max_subjects=20)
    assert [admitted(rate) for _ in range(4)] == [True, True, True, False]
    for number in range(200):
        assert admitted(rate, f"user {number}")
        assert not admitted(rate)
    for number in range(200, 220):
        assert admitted(rate, f"user {number}")
    assert [admitted(rate) for _ in range(4)] == [True, True, True, False]


def test_the_refusal_says_who_and_what_to_do() -> None:
    clock = Clock()
    rate = limit(clock, per_second=0.25, burst=2)
    assert rate.admit("ani") is None
    told = rate.admit("ani")
    assert told == {"RateLimit-Policy": '"user";q=2;w=8', "RateLimit": '"user";r=0;t=8'}
    clock.now += SECOND // 2
    with pytest.raises(ProblemError) as caught:
        rate.admit("ani")
    assert caught.value.detail == (
        "This user has sent over 2 requests at once, and 0.25 a second since. "
        "Nothing was done: send it again after the time in Retry-After."
    )
    assert caught.value.members == {"limited": "user"}
    assert caught.value.headers == {
        "Retry-After": "4",
        "RateLimit-Policy": '"user";q=2;w=8',
        "RateLimit": '"user";r=0;t=4',
    }


def test_an_answer_tells_when_less_than_half_of_the_burst_is_left() -> None:
    rate = limit(Clock(), per_second=1.0, burst=10)
    told = [rate.admit("ani") for _ in range(10)]
    assert told[:5] == [None] * 5
    assert [each and each["RateLimit"] for each in told[5:]] == [
        f'"user";r={left};t={10 - left}' for left in (4, 3, 2, 1, 0)
    ]


def test_a_rate_of_nothing_is_no_limit() -> None:
    config = ApiConfig(
        primary_dsn="",
        replica_dsn="",
        admin_key="",
        token_secrets=(),
        user_max_requests_per_second=0,
        user_burst_max_requests=1,
        key_max_requests_per_second=0.001,
        key_burst_max_requests=1,
    )
    both = limits(config)
    assert [both.of_user("ani") for _ in range(1000)] == [None] * 1000
    both.of_key("crm")
    with pytest.raises(ProblemError, match="This key has sent"):
        both.of_key("crm")


def test_an_erased_user_is_forgotten_and_others_only_when_it_forgives_nothing() -> None:
    clock = Clock()
    rate = limit(clock, per_second=10.0, burst=3)
    while admitted(rate):
        pass
    assert admitted(rate, "budi")
    clock.now += SECOND // 10
    rate.forget(None)
    assert len(rate) == 1, "budi has all of his burst again"
    assert admitted(rate)
    assert not admitted(rate)
    rate.forget("ani")
    assert len(rate) == 0
