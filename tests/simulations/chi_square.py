"""How likely chance alone gives counts as far from what is expected as those that were found."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Final, TypeVar

#: Below it a difference is no chance.
ONE_IN_A_MILLION: Final = 1e-6

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)


def fit(counts: Mapping[A, int], shares: Mapping[A, float]) -> float:
    """Probability of counts as uneven as these, if the shares (they add up to 1) are right."""
    total = sum(counts.values())
    return chance(
        sum((counts.get(each, 0) - total * share) ** 2 / (total * share) for each, share in shares.items()),
        len(shares) - 1,
    )


def independence(pairs: Iterable[tuple[A, B]]) -> tuple[float, float]:
    """Probability of pairs as lopsided as these, if one half of a pair says nothing of the other.

    And how lopsided they are: Cramér's V, from 0 (not at all) to 1 (one half tells the other).
    """
    found = Counter(pairs)
    total = sum(found.values())
    firsts: Counter[A] = Counter()
    seconds: Counter[B] = Counter()
    for (first, second), count in found.items():
        firsts[first] += count
        seconds[second] += count
    chi_square = 0.0
    for first, first_count in firsts.items():
        for second, second_count in seconds.items():
            expected = first_count * second_count / total
            chi_square += (found[first, second] - expected) ** 2 / expected
    fewer = min(len(firsts), len(seconds)) - 1
    freedom = (len(firsts) - 1) * (len(seconds) - 1)
    return chance(chi_square, freedom), math.sqrt(chi_square / (total * fewer))


def proportion(found: int, total: int, expected: float) -> float:
    """Probability of a share as far from the expected one, of so many that are drawn independently."""
    if expected in (0.0, 1.0):
        return float(found == total * expected)
    deviations = (found - total * expected) / math.sqrt(total * expected * (1 - expected))
    return math.erfc(abs(deviations) / math.sqrt(2))


def chance(chi_square: float, freedom: int) -> float:
    """That chi-square with so many degrees of freedom (1 or more) is at least this."""
    half = chi_square / 2
    start = 2 - freedom % 2  # 1 or 2 degrees are known; each step up adds two
    probability = math.erfc(math.sqrt(half)) if start == 1 else math.exp(-half)
    for degrees in range(start, freedom, 2):
        probability += half ** (degrees / 2) * math.exp(-half) / math.gamma(degrees / 2 + 1)
    return probability
