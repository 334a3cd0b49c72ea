"""Short simulations of even pacing; their time is simulated, so they are the same on every machine."""

from functools import partial

import pytest

from api.campaigns.pacing import InFlight
from tests.simulations.pacing import TOLERATED, double_peak, flat, scenario
from tests.simulations.pacing_world import Outcome, Scenario, World

HOUR = 3600.0
#: The phones' answers take most of a minute, and the campaign is an hour behind when it goes on.
_SLOW = partial(
    scenario, rate=flat, median_seconds=30.0, processes=4, paused=(0.5 * HOUR, 1.5 * HOUR), until=2.5 * HOUR
)
_STALLED = partial(
    scenario, rate=flat, processes=4, merges_stalled=(0.25 * HOUR, 1.5 * HOUR), until=1.75 * HOUR
)


def lived(one: Scenario) -> Outcome:
    return World(one).run()


@pytest.mark.parametrize("processes", [1, 4])
def test_a_day_in_jakarta(processes: int) -> None:
    day = lived(scenario(rate=double_peak, requests=90_000, processes=processes))
    assert day.above_ideal() <= TOLERATED
    assert day.below_feasible() <= TOLERATED
    assert abs(day.final - 5_000) <= 5_000 * TOLERATED
    assert day.feasible() == pytest.approx(day.ideal(), abs=5_000 * TOLERATED), "the traffic suffices"


def test_where_traffic_lacks_all_of_it_is_used() -> None:
    day = lived(scenario(rate=double_peak, requests=7_000, processes=4))
    assert day.feasible()[-1] > day.final > 0.97 * day.feasible()[-1]
    assert day.above_ideal() <= TOLERATED


def test_a_catch_up_overshoots_unless_it_reckons_with_what_is_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_it = lived(_SLOW())
    assert with_it.above_ideal() <= TOLERATED
    assert with_it.delivered[-1] == pytest.approx(with_it.ideal()[-1], abs=5_000 * TOLERATED)
    monkeypatch.setattr(InFlight, "expected", lambda *_: 0.0)
    assert lived(_SLOW()).above_ideal() > TOLERATED


def test_a_catch_up_is_slow_unless_it_knows_that_few_popups_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = partial(_SLOW, confirmed=0.1)
    behind = lived(few()).below_feasible()
    expected = InFlight.expected

    def every_one(flight: InFlight, now_us: int, processes: int) -> float:
        expected(flight, now_us, processes)
        return processes * flight._out

    monkeypatch.setattr(InFlight, "expected", every_one)
    assert lived(few()).below_feasible() > 1.5 * behind


def test_a_stalled_merge_makes_nobody_think_that_it_is_alone() -> None:
    assert lived(_STALLED()).above_ideal() <= TOLERATED
    assert lived(_STALLED(announcements=False)).above_ideal() > TOLERATED
