"""The draws of 20,000 users are fair (`make simulations`: of a million), and unfair ones would be noticed."""

from collections.abc import Callable
from itertools import accumulate

import pytest

from api.campaigns.experiments import hash_of
from tests.simulations.assignment import (
    CHANGES,
    Finding,
    Weights,
    by_the_engine,
    families,
    findings,
    held_out,
    movements,
)
from tests.simulations.chi_square import ONE_IN_A_MILLION, chance, fit, independence, proportion

USERS = 20_000


def ids() -> list[bytes]:
    return next(ids for _, ids in families(USERS))


def failed(found: list[Finding]) -> list[str]:
    return [finding.what for finding in found if not finding.passed]


def test_the_engines_draws_are_fair() -> None:
    found = list(findings(USERS))
    assert failed(found) == []
    assert len(found) > 60


def modulo(key: str, weights: Weights) -> Callable[[bytes], str]:
    """The usual way, and a worse one: the hash modulo the sum of the weights."""
    ends = list(accumulate(weights.values()))

    def variant(user: bytes) -> str:
        drawn = hash_of(key.encode() + user) % ends[-1]
        return next(name for name, end in zip(weights, ends, strict=True) if drawn < end)

    return variant


def intervals(key: str, weights: Weights) -> Callable[[bytes], str]:
    """Another one: shares of the unit interval, one after the other."""
    ends = list(accumulate(weights.values()))

    def variant(user: bytes) -> str:
        drawn = hash_of(key.encode() + user) / 2**64 * ends[-1]
        return next(name for name, end in zip(weights, ends, strict=True) if drawn <= end)

    return variant


def test_worse_ways_move_more_users() -> None:
    assert failed(list(movements(ids(), by_the_engine))) == []
    too_much = {what for what, old, new in CHANGES if len({*old, *new}) > 2}
    assert set(failed(list(movements(ids(), modulo)))) >= too_much
    assert "a variant is added" in failed(list(movements(ids(), intervals)))


def test_shares_that_are_off_by_a_few_users_in_a_hundred_are_noticed() -> None:
    counts = {"a": USERS // 2 + 400, "b": USERS // 2 - 400}
    assert fit(counts, {"a": 0.5, "b": 0.5}) < ONE_IN_A_MILLION < fit(counts, {"a": 0.52, "b": 0.48})
    assert proportion(1200, USERS, 0.05) < ONE_IN_A_MILLION < proportion(1200, USERS, 0.06)


def test_one_draw_for_two_campaigns_would_be_noticed() -> None:
    sale, news = held_out("sale", 50, ids()), held_out("news", 50, ids())
    probability, strength = independence(zip(sale, sale, strict=True))
    assert probability < ONE_IN_A_MILLION
    assert strength == pytest.approx(1)
    assert independence(zip(sale, news, strict=True))[0] > ONE_IN_A_MILLION
    partly = [a if number % 10 == 0 else b for number, (a, b) in enumerate(zip(sale, news, strict=True))]
    assert independence(zip(sale, partly, strict=True))[0] < ONE_IN_A_MILLION


@pytest.mark.parametrize(
    ("chi_square", "freedom", "probability"),
    # From the usual tables.
    [
        (3.841, 1, 0.05),
        (5.991, 2, 0.05),
        (7.815, 3, 0.05),
        (18.307, 10, 0.05),
        (27.63, 2, 1e-6),
        (33.38, 4, 1e-6),
    ],
)
def test_chance_is_that_of_the_tables(chi_square: float, freedom: int, probability: float) -> None:
    assert chance(chi_square, freedom) == pytest.approx(probability, rel=0.01)
