"""Confidence intervals for two independent proportions, by published methods.

Both are score intervals: they hold for small groups and rare events, where the textbook's (Wald's) don't.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95
#: Halvings of an interval of logarithms: 2^-100 of it is below what a float can tell.
_HALVINGS: Final = 100
#: Ratios are looked for within e^±50; those of counts that fit into 64 bits lie inside.
_LOG_RANGE: Final = 50.0


class Proportion(NamedTuple):
    """`part` of `of`."""

    part: int
    of: int

    @property
    def rate(self) -> float:
        return self.part / self.of


class Interval(NamedTuple):
    low: float
    high: float


def difference_interval(a: Proportion, b: Proportion, *, confidence: float = CONFIDENCE) -> Interval:
    """Of a's rate minus b's, within -1 to 1. Both `of` are above 0.

    Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17 (1998), 873-890: method 10, without continuity correction.
    """
    z = _z(confidence)
    of_a, of_b = _wilson(a, z), _wilson(b, z)
    difference = a.rate - b.rate
    return Interval(
        difference - math.hypot(a.rate - of_a.low, of_b.high - b.rate),
        difference + math.hypot(of_a.high - a.rate, b.rate - of_b.low),
    )


def ratio_interval(a: Proportion, b: Proportion, *, confidence: float = CONFIDENCE) -> Interval:
    """Of a's rate by b's. Each `part` is above 0 and below its `of`; raises ValueError.

    Koopman, "Confidence limits for the ratio of two binomial proportions", Biometrics 40 (1984), 513-517: the
    ratios that a chi-square test does not refuse.
    """
    if not all(0 < each.part < each.of for each in (a, b)):
        raise ValueError(f"a ratio's interval needs some and not all of each group: {a}, {b}")
    limit = _z(confidence) ** 2
    estimate = math.log(a.rate / b.rate)

    def refused(log_ratio: float) -> bool:
        return _chi_square(a, b, math.exp(log_ratio)) > limit

    return Interval(
        math.exp(_border(refused, estimate, estimate - _LOG_RANGE)),
        math.exp(_border(refused, estimate, estimate + _LOG_RANGE)),
    )


def _wilson(group: Proportion, z: float) -> Interval:
    """Wilson, "Probable inference …", JASA 22 (1927), 209-212."""
    part, of = group
    middle = (part + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(part * (of - part) / of + z * z / 4)
    return Interval(middle - half, middle + half)


def _chi_square(a: Proportion, b: Proportion, ratio: float) -> float:
    """Koopman's U: how far the counts are from what is likeliest if `ratio` is true."""
    # The likeliest rates are a root of a quadratic; written so that nothing cancels out.
    sides = ratio * (a.of + b.part) + a.part + b.of
    both = ratio * (a.part + b.part)
    root = math.sqrt(max(0.0, sides * sides - 4 * (a.of + b.of) * both))
    rate_a = 2 * both / (sides + root)
    rate_b = rate_a / ratio
    return (a.part - a.of * rate_a) ** 2 / (a.of * rate_a * (1 - rate_a)) + (
        (b.part - b.of * rate_b) ** 2 / (b.of * rate_b * (1 - rate_b))
    )


def _border(refused: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if refused(middle):
            outside = middle
        else:
            inside = middle
    return inside


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
