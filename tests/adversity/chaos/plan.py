"""Which attack comes in which round: decided by a seed."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.adversity.chaos.attacks import ATTACKS

#: Of all rounds: a merge has some twenty statements with two sides each, and each is to be met in 200.
_STATEMENT_SHARE: Final = 0.25
_STATEMENTS: Final = "kill-merge-at-statement"


@dataclass(frozen=True)
class Round:
    """`number` counts all rounds from 1, `repetition` those of this attack from 0."""

    number: int
    attack: str
    repetition: int
    seed: int

    def dice(self, purpose: str) -> random.Random:
        """The same for the same round of the same seed."""
        return random.Random(f"{self.seed}/{self.number}/{purpose}")


def plan(seed: int, rounds: int, only: Sequence[str] = ()) -> list[Round]:
    """Every attack in turn, in an order that the seed shuffles; a quarter are fault points of the merge."""
    dice = random.Random(seed)
    names = _names(dice, rounds, list(only) or list(ATTACKS))
    seen: Counter[str] = Counter()
    planned = []
    for number, name in enumerate(names, start=1):
        planned.append(Round(number, name, seen[name], seed))
        seen[name] += 1
    return planned


def _names(dice: random.Random, rounds: int, attacks: list[str]) -> list[str]:
    statements = int(rounds * _STATEMENT_SHARE) if _STATEMENTS in attacks and len(attacks) > 1 else 0
    others = [attack for attack in attacks if attack != _STATEMENTS or not statements]
    statements = min(statements, max(1, rounds - len(others)))
    names = [_STATEMENTS] * statements
    while len(names) < rounds:
        names += dice.sample(others, len(others))
    names = names[:rounds]
    dice.shuffle(names)
    return names
