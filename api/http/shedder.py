"""Load shedding: what can't be answered soon is refused at once, before any work is done for it.

Two measures. The number of requests in flight bounds memory, and by Little's law the wait. And, as in CoDel
(RFC 8289), the time that requests wait, which tells a standing queue from a burst: a process that is behind
for longer than a burst admits fewer and fewer, until the wait is what it should be.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from api import errors
from api.config import ApiConfig
from api.errors import PROBLEM_JSON
from api.http.refusal import problem

_TICK_SECONDS: Final = 0.02
#: Not none: refusing costs time too, and a process that refused everybody would serve nobody.
_ADMITTED_MIN: Final = 64
#: One late turn of the event loop is a collection of garbage, or a neighbour; several are a queue.
_LATE_TURNS: Final = 3
#: From the least to all again within this many looks.
_LOOKS_TO_FULL: Final = 250

_BODY: Final = json.dumps(
    problem(errors.OVERLOADED, "Nothing was done. Send it again after the time in Retry-After.")
).encode()
_HEADERS: Final = {"Content-Type": PROBLEM_JSON, "Retry-After": "1"}


class StandingWait:
    """Whether a wait has stood above `max_seconds` for `burst_seconds`, or does again within that time."""

    def __init__(self, *, max_seconds: float, burst_seconds: float) -> None:
        self._max_seconds = max_seconds
        self._burst_seconds = burst_seconds
        self._above_since: float | None = None
        self._stood_at = -burst_seconds

    def observe(self, wait_seconds: float, now: float) -> bool:
        """`now` in seconds of any clock that never goes back."""
        if wait_seconds <= self._max_seconds:
            self._above_since = None
            return False
        if self._above_since is None:
            self._above_since = now
        stands = now - self._above_since >= self._burst_seconds or now - self._stood_at < self._burst_seconds
        if stands:
            self._stood_at = now
        return stands


class Gate:
    """Requests of one kind. Reads and writes have a gate each: writes may wait for a primary that is away."""

    def __init__(self, max_requests: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.shed: Counter[str] = Counter({"in_flight": 0, "behind": 0})
        self.admitted = max_requests
        self._max_requests = max_requests
        self._clock = clock
        self._arrivals: dict[object, float] = {}

    def __len__(self) -> int:
        return len(self._arrivals)

    def enter(self, request: object) -> bool:
        """Whether it is admitted. Then it has to leave."""
        if len(self._arrivals) < self.admitted:
            self._arrivals[request] = self._clock()
            return True
        self.shed["in_flight" if self.admitted == self._max_requests else "behind"] += 1
        return False

    def leave(self, request: object) -> None:
        self._arrivals.pop(request, None)

    def oldest_seconds(self, now: float) -> float:
        """Since when the oldest request in flight is here."""
        return now - next(iter(self._arrivals.values()), now)

    def admit_fewer(self) -> None:
        """Half as many as there are."""
        half = min(self.admitted, len(self._arrivals)) // 2
        self.admitted = min(self._max_requests, max(_ADMITTED_MIN, half))

    def admit_more(self) -> None:
        more = max(1, self._max_requests // _LOOKS_TO_FULL)
        self.admitted = min(self._max_requests, self.admitted + more)


class Shedder:
    """The gates of a process. `run()` is one task; it also measures how late the event loop is."""

    def __init__(self, config: ApiConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.reads = Gate(config.max_requests_in_flight, clock)
        self.writes = Gate(config.max_requests_in_flight, clock)
        self.loop_lag_seconds = 0.0
        self._clock = clock
        self._wait_max_seconds = config.queue_wait_max_seconds
        self._reads_wait = StandingWait(
            max_seconds=config.queue_wait_max_seconds, burst_seconds=config.queue_burst_seconds
        )
        self._loop_waits = StandingWait(
            max_seconds=config.queue_wait_max_seconds,
            burst_seconds=min(config.queue_burst_seconds, _LATE_TURNS * config.queue_wait_max_seconds),
        )
        self._cut_at = -config.queue_wait_max_seconds

    async def run(self) -> None:
        """Look at the waits fifty times a second, until cancelled."""
        while True:
            due = self._clock() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock()
            self.look(now, late_seconds=now - due)

    def look(self, now: float, *, late_seconds: float) -> None:
        """Fewer while the wait stands, once in the time that it may last; then slowly more.

        An event loop that is late lets everybody wait, also whom it has not heard yet. How long writes wait
        says nothing: for a primary that is away they have a time-out of their own.
        """
        self.loop_lag_seconds = late_seconds
        behind = self._loop_waits.observe(late_seconds, now)
        behind |= self._reads_wait.observe(self.reads.oldest_seconds(now), now)
        if not behind:
            self.reads.admit_more()
            self.writes.admit_more()
        elif now - self._cut_at >= self._wait_max_seconds:
            self._cut_at = now
            self.reads.admit_fewer()
            self.writes.admit_fewer()


def sheltered(handler: Handler) -> Handler:
    """The handler, but for requests that its connection was to shed, and could not without parsing them."""

    @wraps(handler)
    async def either(request: web.Request) -> web.StreamResponse:
        if getattr(request.protocol, "shed", False):
            return web.Response(body=_BODY, status=errors.OVERLOADED.status, headers=_HEADERS)
        return await handler(request)

    return either
