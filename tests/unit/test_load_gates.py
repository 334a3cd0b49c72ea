"""The load test's gates: each can fail, and says so by its own exit code. And what feeds them."""

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import jwt
import pytest

from loadtests.jwts import Mint
from loadtests.locust.gates import (
    ERRORS,
    GREW,
    LATENCY,
    LOST,
    OVERSHOT,
    RATE,
    exit_code,
    gates,
    grew,
    held,
)
from loadtests.locust.pace import Pace
from loadtests.locust.people import People
from loadtests.locust.reconcile import Account
from loadtests.locust.record import Latencies, Record
from loadtests.locust.stages import SHAPES, Stage, at, stages
from loadtests.watch import Sample, growth

STAGE: dict[str, Any] = {
    "name": "steady",
    "gated": True,
    "target_per_second": 2_000.0,
    "achieved_per_second": 1_990.0,
    "errors": 0,
    "all": {"count": 1000, "p99_ms": 12.0},
    "since_due": {"count": 1000, "p99_ms": 31.0},
    "late": {"count": 1000, "p99_ms": 25.0},
}
LIMITS = {"p99_ms": 20.0, "late_ms": 100.0}
ACCOUNT = Account(
    acknowledgements=110,
    acknowledged=100,
    unanswered=0,
    logged=100,
    counted=100,
    missing=0,
    unexplained=0,
    wrong_counts=0,
    caps_checked=170,
    caps_reached=20,
    caps_overshot=0,
)


def failed(stage: dict[str, Any] | None = None, **account: Any) -> set[int]:
    found = gates([STAGE | (stage or {})], replace(ACCOUNT, **account), **LIMITS)
    return {gate.exit_code for gate in found if not gate.passed}


def test_all_gates_pass() -> None:
    assert failed() == set()
    assert exit_code(gates([STAGE], ACCOUNT, **LIMITS)) == 0


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"missing": 1}, LOST),
        ({"unexplained": 1}, LOST),
        ({"wrong_counts": 1}, LOST),
        ({"acknowledged": 0}, LOST),
        ({"caps_overshot": 1}, OVERSHOT),
        ({"caps_checked": 0}, OVERSHOT),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_the_books_fail(account: dict[str, Any], code: int) -> None:
    assert failed(**account) == {code}


def test_errors_fail() -> None:
    assert failed({"errors": 1}) == {ERRORS}


def test_a_slow_p99_fails() -> None:
    assert failed({"all": {"count": 1000, "p99_ms": 20.1}}) == {LATENCY}


def test_a_rate_that_was_not_sent_voids_the_percentiles_however_good_they_look() -> None:
    too_few = {"achieved_per_second": 1_959.0}

    assert failed(too_few) == {RATE, LATENCY}
    said = {gate.exit_code: gate.said for gate in gates([STAGE | too_few], ACCOUNT, **LIMITS)}
    assert "VOID" in said[RATE]
    assert "12.00" not in said[LATENCY]
    assert not held(STAGE | too_few, **LIMITS)


def test_who_stalls_and_catches_up_voids_the_percentiles_though_all_was_sent() -> None:
    """Two seconds of 120 in which nothing is sent, and then all of it at once, answered quickly."""
    record = recorded(lates_ms=[0.0] * 118_000 + [float(late) for late in range(2_000)])
    stage = STAGE | record.as_dict()["stages"][0]

    assert stage["achieved_per_second"] == stage["target_per_second"]
    assert stage["all"]["p99_ms"] == pytest.approx(5.0, abs=0.1), "it looks as if nothing had happened"
    assert stage["since_due"]["p99_ms"] > 700
    assert failed(stage) == {RATE, LATENCY}
    said = {gate.exit_code: gate.said for gate in gates([stage], ACCOUNT, **LIMITS)}
    assert "VOID: more than 1 % were sent over 100 ms late" in said[RATE]
    assert not held(stage, **LIMITS)


def test_who_is_late_by_less_than_an_interval_leaves_nothing_out() -> None:
    stage = STAGE | recorded(lates_ms=[99.0] * 120_000).as_dict()["stages"][0]

    assert failed(stage) == set()
    assert held(stage, **LIMITS)
    said = {gate.exit_code: gate.said for gate in gates([stage], ACCOUNT, **LIMITS)}
    assert "p99 5.05 ms (104.05 since due)" in said[LATENCY], "whoever reads it sees both"


def recorded(lates_ms: list[float]) -> Record:
    """1,000/s for as long as that takes, each answered 5 ms after it was sent."""
    plan = [Stage(name="steady", seconds=len(lates_ms) / 1_000, rate=1_000)]
    record = Record(plan, lambda: 1.0)
    for late_ms in lates_ms:
        record.answered("GET", 5.0, None, late_ms)
    return record


def test_a_stage_without_gates_fails_only_by_the_books() -> None:
    bad = {"gated": False, "achieved_per_second": 1.0, "errors": 9, "all": {"count": 9, "p99_ms": 900.0}}

    assert failed(bad) == set()
    assert failed(bad, missing=1) == {LOST}


def test_the_worst_gate_gives_the_exit_code() -> None:
    account = replace(ACCOUNT, missing=1)
    assert exit_code(gates([STAGE | {"errors": 1}], account, p99_ms=1, late_ms=1)) == LOST


def sample(seconds: float, **values: Any) -> Sample:
    steady: dict[str, Any] = {
        "worker_mib": 90.0,
        "buffer_mib": 2.0,
        "catalog_mib": 12.0,
        "dead_ticks": 0,
        "merges_per_second": 4.0,
        "merge_cpu_ms": 8.0,
        "report_open": False,
    }
    return Sample(seconds=seconds, **(steady | values))


@pytest.mark.parametrize("grown", ["worker_mib", "buffer_mib", "catalog_mib", "merge_cpu_ms"])
def test_growth_fails(grown: str) -> None:
    calm = [sample(second, **{grown: 50 + second % 2}) for second in range(40)]
    leaking = [sample(second, **{grown: 50 + 2 * second}) for second in range(40)]

    assert grew(growth(calm)).passed
    assert not grew(growth(leaking)).passed
    assert grew(growth(leaking)).exit_code == GREW


def test_a_soak_too_short_to_tell_fails() -> None:
    assert not grew(growth([sample(1)] * 7)).passed


@pytest.mark.parametrize("shape", SHAPES)
def test_the_stages_of_a_shape_take_the_time_that_was_asked_for(shape: str) -> None:
    plan = stages(shape, 600, 120)

    assert sum(stage.seconds for stage in plan) == pytest.approx(120)
    assert all(stage.users / stage.interval_seconds == pytest.approx(stage.rate) for stage in plan)
    assert len({stage.name for stage in plan}) == len(plan)
    assert not plan[0].measured
    assert at(plan, 0) is plan[0]
    assert at(plan, 119.9) is plan[-1]
    assert at(plan, 120.1) is None


def test_a_spike_is_five_times_the_rate() -> None:
    assert max(stage.rate for stage in stages("spike", 600, 120) if stage.measured) == 3_000


def test_who_is_late_catches_up() -> None:
    """Due times don't depend on when the answers come: that is what makes the loop an open one."""
    pace = Pace(0.0, lambda: 0.1)
    first = pace.next_due()

    assert 0 <= first <= 0.1
    assert [pace.next_due() for _ in range(3)] == pytest.approx([first + 0.1, first + 0.2, first + 0.3])


def test_percentiles_round_up_by_a_step_at_most() -> None:
    latencies = Latencies()
    for value in range(1, 1001):
        latencies.add(value / 10)

    assert latencies.percentile(50) == pytest.approx(50.0, abs=0.06)
    assert latencies.percentile(99) == pytest.approx(99.0, abs=0.06)
    assert latencies.percentile(100) >= 100.0
    assert Latencies().percentile(99) == 0


def test_the_record_keeps_stages_apart_and_leaves_the_warm_up_out() -> None:
    plan = [
        Stage(name="warm-up", seconds=10, rate=100, measured=False),
        Stage(name="low", seconds=10, rate=100),
        Stage(name="high", seconds=20, rate=200),
    ]
    now = itertools.chain([1.0, 15.0, 16.0, 25.0, 41.0])
    record = Record(plan, lambda: next(now))
    for name, milliseconds, error in (
        ("GET", 900.0, None),
        ("GET", 5.0, None),
        ("POST", 7.0, ValueError("URL http://host/?a=1: code=503")),
        ("GET", 6.0, None),
        ("GET", 800.0, None),  # after the end
    ):
        record.answered(name, milliseconds, error, late_ms=2.0)

    low, high = record.as_dict()["stages"]
    assert (low["all"]["count"], low["errors"], low["achieved_per_second"]) == (2, 1, 0.2)
    assert low["names"]["POST"]["errors"] == 1
    assert low["since_due"]["max_ms"] == pytest.approx(low["all"]["max_ms"] + 2, abs=0.1)
    assert (high["all"]["count"], high["errors"], high["all"]["max_ms"]) == (1, 0, pytest.approx(6, abs=0.1))
    assert record.as_dict()["messages"] == {"POST: code=503": 1}


def test_users_are_drawn_unevenly_and_nobody_twice_at_a_time() -> None:
    people = People(1_000_000, "s" * 32, seed=1)
    visits: Counter[int] = Counter()
    for _ in range(40_000):
        person = people.take()
        visits[person] += 1
        people.release(person)

    assert all(0 <= person < 1_000_000 for person in visits)
    assert len(visits) > 20_000, "most of them come once"
    assert 5 < max(visits.values()) < 100, "some come often, nobody all the time"

    few = People(3, "s" * 32, seed=1)
    assert {few.take(), few.take(), few.take()} == {0, 1, 2}


def test_the_same_user_has_the_same_jwt() -> None:
    people = People(1_000_000, "s" * 32, seed=1)
    before = people.authorization(5)
    people.authorization.cache_clear()
    assert people.authorization(5) == before != people.authorization(6)


def test_a_minted_jwt_is_one() -> None:
    minted = Mint("s" * 32, issued_at=1_000).jwt("user-0000007")

    assert jwt.get_unverified_header(minted) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(minted, "s" * 32, algorithms=["HS256"], options={"verify_exp": False})
    assert claims == {"sub": "user-0000007", "iat": 1_000, "exp": 87_400}
