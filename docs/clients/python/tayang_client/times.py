"""The server's time as a phone knows it, and when to try again."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

Clock = Callable[[], float]

_BACKOFF_FIRST_SECONDS = 1.0
_BACKOFF_MAX_SECONDS = 300.0
_RETRY_AFTER_MAX_SECONDS = 3600.0


class ServerTime:
    """The `Date` of the last answer, and what a clock that nobody can set has counted since.

    So a phone whose clock is hours off, or is set meanwhile, still tells right times. Before the first
    answer there is only the phone's clock; the service then clamps what it says.
    """

    def __init__(self, *, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead: float | None = None

    def saw(self, date: str | None) -> None:
        """The header of an answer that has just come."""
        try:
            seconds = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        self._ahead = seconds + 0.5 - self._monotonic()  # it has no fractions: half a second off at most

    def now(self) -> datetime:
        seconds = self._wall() if self._ahead is None else self._monotonic() + self._ahead
        return datetime.fromtimestamp(seconds, UTC)

    def seconds_until(self, moment: datetime) -> float:
        return (moment - self.now()) / timedelta(seconds=1)


class Pause:
    """Growing pauses with full jitter, beyond what `Retry-After` asks: phones shouldn't come in waves."""

    def __init__(
        self, *, monotonic: Clock = time.monotonic, jitter: Callable[[], float] = random.random
    ) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self._failures = 0
        self._until = float("-inf")

    @property
    def seconds(self) -> float:
        """How long still to wait; 0.0: now."""
        return max(0.0, self._until - self._monotonic())

    def failed(self, retry_after: str | None) -> None:
        longest = min(_BACKOFF_MAX_SECONDS, _BACKOFF_FIRST_SECONDS * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        asked = float(retry_after) if retry_after is not None and retry_after.isdecimal() else 0.0
        wait = min(asked, _RETRY_AFTER_MAX_SECONDS) + self._jitter() * longest
        self._until = self._monotonic() + wait

    def succeeded(self) -> None:
        self._failures = 0
        self._until = float("-inf")
