"""Is the replica behind? Asked of the log positions, not of a clock.

A replica's own lag figures mislead (they grow when nothing happens, and a dead receiver looks like
none), and the merge's tick stands still also when only the merge does. So: take the primary's
flushed position; a replica that has replayed it is as fresh as that moment.
"""

import asyncio
import logging
from typing import Final

from api.read.server import Server
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.read")

_CHECK_SECONDS: Final = 0.5


class Freshness:
    """`run()` is one task. With the primary out of reach the last verdict on the replica stands."""

    def __init__(self, replica: Server | None, primary: Server, *, max_staleness_seconds: float) -> None:
        self._replica = replica
        self._primary = primary
        self._max_staleness_seconds = max_staleness_seconds
        self._waiting_for: tuple[int, float] | None = None  # position, when the primary was there
        self._fresh_at: float | None = None
        self._stale = False

    def stale(self, server: Server) -> bool:
        """Whether the server is known to be further behind than it may be."""
        return server is self._replica and self._stale

    @property
    def age_seconds(self) -> float | None:
        """How old the replica's state is at most; None before the first check."""
        return None if self._fresh_at is None else asyncio.get_running_loop().time() - self._fresh_at

    async def run(self) -> None:
        """Check twice a second, until cancelled."""
        while True:
            if self._replica is not None:
                await self._check(self._replica)
            await asyncio.sleep(_CHECK_SECONDS)

    async def _check(self, replica: Server) -> None:
        now = asyncio.get_running_loop().time()
        if self._waiting_for is None:
            try:
                self._waiting_for = (await self._primary.primary_position(), now)
            except ConnectionFailedError:
                return
        try:
            await replica.snapshot(())
        except ConnectionFailedError:
            return
        position, since = self._waiting_for
        if replica.replayed >= position:
            self._waiting_for = None
            self._fresh_at = since
            self._judge(stale=False)
        elif now - since > self._max_staleness_seconds:
            self._judge(stale=True)

    def _judge(self, *, stale: bool) -> None:
        if stale != self._stale:
            self._stale = stale
            log.warning(
                "the replica is %s", "too far behind: reading from the primary" if stale else "fresh again"
            )
