"""When a connection sends next: at fixed times, whatever became of the request before.

A closed loop sends less the slower the answers come, and so measures a load that nobody asked for. Here
each request has a due time. Who is late sends at once until it has caught up.
"""

import random
from collections.abc import Callable


class Pace:
    """Of one connection."""

    def __init__(self, now: float, interval: Callable[[], float]) -> None:
        """`interval` in seconds, asked anew each time: the rate of the whole test may change."""
        self._interval = interval
        # Connections start at different moments of their interval: no waves.
        self._due = now + random.random() * interval()

    def next_due(self) -> float:
        """When the next request is due; it may be over. Each call is one request."""
        due = self._due
        self._due = due + self._interval()
        return due
