"""What the seed decides of an attack, so that all of it but the exact moments can be repeated."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.adversity.chaos.rig import Rig

T = TypeVar("T")


@dataclass(frozen=True)
class Chance:
    """What a round's seed decides. `number` counts the rounds of the same attack, from 0."""

    dice: random.Random
    number: int
    longest_seconds: float
    seed: int

    def turn(self, options: Sequence[T]) -> T:
        """Each option once before one comes again, in an order that the seed shuffles."""
        return random.Random(self.seed).sample(options, len(options))[self.number % len(options)]

    async def last(self) -> str:
        """Let the attack last half a second or more; returns how long, for the report."""
        seconds = self.dice.uniform(0.5, self.longest_seconds)
        await asyncio.sleep(seconds)
        return f"for {seconds:.1f} s"


#: Strikes, lets it last, and mends what doesn't mend itself. Returns what it did, for the report.
Attack = Callable[[Rig, Chance], Awaitable[str]]
