"""How often one user, or one key, may ask this process: GCRA, a number for each, in bounded memory.

The number says when whoever asks will have his whole burst again; each request moves it on by one
interval, and none is admitted that would move it further ahead than the burst. Whole nanoseconds,
so that no rounding lets one more through, or makes a Retry-After a moment too short.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from api import errors
from api.config import ApiConfig
from api.errors import ProblemError

_SECOND: Final = 1_000_000_000

#: Headers for an answer that goes well; None while most of the burst is left, which is nearly always.
Told = Mapping[str, str] | None


class RateLimit:
    """At most `burst` requests at once and `per_second` from then on, for each subject.

    Two generations in turn. One that has lasted as long as a burst takes to come back is dropped whole:
    whoever is only in the older one has all of his burst again, so forgetting him forgives nothing. A
    generation that is full before (`max_subjects` / 2) is turned too, and counted in `early_turns`:
    then somebody may get up to one burst more than he should. Who is refused is never forgotten for it.
    """

    def __init__(
        self,
        kind: str,
        *,
        per_second: float,
        burst: int,
        max_subjects: int,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.refused = 0
        self.early_turns = 0
        self._kind = kind
        self._half = max(1, max_subjects // 2)
        self._clock_ns = clock_ns
        self._interval = ceil(_SECOND / Fraction(str(per_second)))  # up: rather too few than too many
        self._slack = (burst - 1) * self._interval
        self._burst = burst
        self._detail = (
            f"This {kind} has sent over {burst:,} requests at once, and {per_second:,g} a second since. "
            "Nothing was done: send it again after the time in Retry-After."
        )
        self._policy = f'"{kind}";q={burst};w={_seconds(burst * self._interval)}'
        self._whole_at: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._turn_at = clock_ns() + burst * self._interval

    def __len__(self) -> int:
        """How many are remembered; those in both generations twice."""
        return len(self._whole_at) + len(self._older)

    def admit(self, subject: str) -> Told:
        """Count one request. Raises ProblemError (429); then it is not counted."""
        now = self._clock_ns()
        if now >= self._turn_at or len(self._whole_at) >= self._half:
            self._turn(now)
        whole_at = self._whole_at.get(subject)
        if whole_at is None:
            whole_at = self._older.get(subject, 0)
        ahead = whole_at - now
        if ahead > self._slack:
            self._whole_at[subject] = whole_at
            self.refused += 1
            raise self._problem(ahead)
        self._whole_at[subject] = (now if ahead < 0 else whole_at) + self._interval
        return self._told(ahead) if 2 * ahead > self._slack else None

    def forget(self, subject: str | None) -> None:
        """One of them, or all who have their whole bursts again, which forgives nothing."""
        now = self._clock_ns()
        for remembered in (self._whole_at, self._older):
            if subject is not None:
                remembered.pop(subject, None)
                continue
            for each in [each for each, whole_at in remembered.items() if whole_at <= now]:
                del remembered[each]

    def _turn(self, now: int) -> None:
        self.early_turns += now < self._turn_at
        self._older, self._whole_at = self._whole_at, {}
        self._turn_at = now + self._burst * self._interval

    def _told(self, ahead: int) -> Told:
        left = (self._slack - ahead) // self._interval
        return self._headers(left, _seconds(ahead + self._interval))

    def _problem(self, ahead: int) -> ProblemError:
        wait = max(1, _seconds(ahead - self._slack))
        headers = {"Retry-After": str(wait), **self._headers(0, wait)}
        return ProblemError(errors.RATE_LIMITED, self._detail, headers=headers, limited=self._kind)

    def _headers(self, left: int, seconds: int) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-10 has them."""
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"{self._kind}";r={left};t={seconds}'}


@dataclass(frozen=True)
class Limits:
    """None: no limit."""

    users: RateLimit | None
    keys: RateLimit | None

    def of_user(self, user_id: str) -> Told:
        """Raises ProblemError (429)."""
        return None if self.users is None else self.users.admit(user_id)

    def forget(self, user_id: str | None) -> None:
        """A user who is erased; None: somebody may have been who is not known here."""
        if self.users is not None:
            self.users.forget(user_id)

    def of_key(self, key_id: str) -> Told:
        """Raises ProblemError (429)."""
        return None if self.keys is None else self.keys.admit(key_id)


def limits(config: ApiConfig) -> Limits:
    return Limits(
        users=_limit("user", config.user_max_requests_per_second, config.user_burst_max_requests, config),
        keys=_limit("key", config.key_max_requests_per_second, config.key_burst_max_requests, config),
    )


def _limit(kind: str, per_second: float, burst: int, config: ApiConfig) -> RateLimit | None:
    if not per_second:
        return None
    return RateLimit(kind, per_second=per_second, burst=burst, max_subjects=config.rate_limit_max_callers)


def _seconds(nanoseconds: int) -> int:
    """Whole ones, and never too few."""
    return -(-nanoseconds // _SECOND)
