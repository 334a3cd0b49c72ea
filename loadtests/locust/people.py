"""Who holds the phones: a million users, some of whom open the app far more often than others."""

import random
import time
from functools import lru_cache
from typing import Final

from loadtests.jwts import Mint
from loadtests.traffic import user_id

#: Zipf-Mandelbrot: the share of the user of rank k is like 1 / (k + OFFSET) ** EXPONENT. Without the offset
#: one user of a million would make a hundredth of all requests, which nobody's thumb can.
EXPONENT: Final = 0.8
OFFSET: Final = 100.0
#: Prime, and no divisor of usual counts: spreads the frequent users over the table of counts.
_SPREAD: Final = 1_000_003
_REMEMBERED_JWTS: Final = 50_000  # some 400 bytes each


class People:
    """Draws users; nobody holds two phones at a time, so popups of one user are confirmed before the next."""

    def __init__(self, count: int, secret: str, *, seed: int) -> None:
        self._count = count
        self._random = random.Random(seed)
        self._busy: set[int] = set()
        self._mint = Mint(secret, int(time.time()))
        power = 1 - EXPONENT
        self._low = OFFSET**power
        self._span = (count + OFFSET) ** power - self._low
        #: The same user gets the same JWT again, also after it was forgotten here: only its time of issue
        #: could differ, and that is fixed.
        self.authorization = lru_cache(_REMEMBERED_JWTS)(self._authorization)

    def take(self) -> int:
        """A user whom nobody else has; give it back with `release`."""
        while (person := self._draw()) in self._busy:
            pass
        self._busy.add(person)
        return person

    def release(self, person: int) -> None:
        self._busy.discard(person)

    def _draw(self) -> int:
        rank = (self._random.random() * self._span + self._low) ** (1 / (1 - EXPONENT)) - OFFSET
        return int(rank) * _SPREAD % self._count

    def _authorization(self, person: int) -> str:
        """Of the Authorization header. Numbers from the count on are free for users who are no customers."""
        return f"Bearer {self._mint.jwt(user_id(person))}"
