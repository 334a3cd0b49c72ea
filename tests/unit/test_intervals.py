"""Confidence intervals against the examples that their authors, and textbooks, have published."""

import math
import random

import pytest

from api.admin.reports.intervals import Proportion, difference_interval, ratio_interval


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        # Newcombe 1998, table II, method 10: its examples (a) to (h).
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_difference_as_published(a: tuple[int, int], b: tuple[int, int], low: float, high: float) -> None:
    interval = difference_interval(Proportion(*a), Proportion(*b))
    assert interval == pytest.approx((low, high), abs=0.00005)


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        # Koopman 1984, its example.
        ((36, 40), (16, 80), 2.94, 7.15),
    ],
)
def test_ratio_as_published(a: tuple[int, int], b: tuple[int, int], low: float, high: float) -> None:
    interval = ratio_interval(Proportion(*a), Proportion(*b))
    assert interval == pytest.approx((low, high), abs=0.005)


def test_ratio_to_more_digits() -> None:
    """The trial of epinephrine by Perondi et al. 2004, an example of Fagerland, Lydersen and Laake,
    "Statistical Analysis of Contingency Tables" (2017); their R package `contingencytables` gives it so.
    """
    assert ratio_interval(Proportion(7, 34), Proportion(1, 34)) == pytest.approx(
        (1.2209, 42.5757), abs=0.00005
    )


def test_with_many_users_the_ratio_is_that_of_katz() -> None:
    """Katz et al. 1978: exp(ln r ± z·s), s² = 1/a - 1/m + 1/b - 1/n, which is what large groups come to."""
    a, b = Proportion(500_000, 9_500_000), Proportion(24_000, 500_000)
    half = 1.959964 * math.sqrt(1 / a.part - 1 / a.of + 1 / b.part - 1 / b.of)
    log_ratio = math.log(a.rate / b.rate)
    katz = (math.exp(log_ratio - half), math.exp(log_ratio + half))
    assert ratio_interval(a, b) == pytest.approx(katz, rel=1e-4)


def test_more_confidence_is_wider() -> None:
    a, b = Proportion(50, 1000), Proportion(40, 1000)
    for interval in (difference_interval, ratio_interval):
        narrow, wide = interval(a, b, confidence=0.9), interval(a, b, confidence=0.99)
        assert wide.low < narrow.low < narrow.high < wide.high


def test_turned_round_they_say_the_same() -> None:
    a, b = Proportion(50, 1000), Proportion(40, 700)
    low, high = difference_interval(a, b)
    assert difference_interval(b, a) == pytest.approx((-high, -low))
    low, high = ratio_interval(a, b)
    assert ratio_interval(b, a) == pytest.approx((1 / high, 1 / low))


@pytest.mark.parametrize(("rate_a", "rate_b"), [(0.05, 0.04), (0.02, 0.02), (0.3, 0.5)])
def test_19_of_20_intervals_hold_the_truth(rate_a: float, rate_b: float) -> None:
    """Of 1,000 experiments with groups of 4,000 and 500: 950 ± 3 standard errors of 7."""
    dice, held = random.Random(7), [0, 0]
    drawn = zip(_drawn(dice, 4000, rate_a), _drawn(dice, 500, rate_b), strict=True)
    for a, b in drawn:
        low, high = difference_interval(a, b)
        held[0] += low <= rate_a - rate_b <= high
        low, high = ratio_interval(a, b)
        held[1] += low <= rate_a / rate_b <= high
    assert all(929 <= each <= 971 for each in held), held


def _drawn(dice: random.Random, of: int, rate: float) -> list[Proportion]:
    """1,000 times, binomially."""
    weights = [
        math.exp(
            math.lgamma(of + 1)
            - math.lgamma(n + 1)
            - math.lgamma(of - n + 1)
            + n * math.log(rate)
            + (of - n) * math.log1p(-rate)
        )
        for n in range(of + 1)
    ]
    return [Proportion(n, of) for n in dice.choices(range(of + 1), weights, k=1000)]


@pytest.mark.parametrize("none", [(0, 100), (100, 100)])
def test_a_ratio_needs_some_and_not_all(none: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="some and not all"):
        ratio_interval(Proportion(5, 10), Proportion(*none))
    with pytest.raises(ValueError, match="some and not all"):
        ratio_interval(Proportion(*none), Proportion(5, 10))
