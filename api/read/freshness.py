"""Is a replica behind? Asked of the log positions, not of a clock.

A replica's own lag figures mislead (they grow when nothing happens, and a dead receiver looks like
none), and the merge's tick stands still also when only the merge does. So: take the primary's
flushed position; a replica that has replayed it is as fresh as that moment.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from api.read.server import Server
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.read")

_CHECK_SECONDS: Final = 0.5


class _Verdict:
    """On one replica."""

    def __init__(self, replica: Server) -> None:
        self.replica = replica
        self.waiting_for: tuple[int, float] | None = None  # position, when the primary was there
        self.fresh_at: float | None = None
        self.stale = False

    def judge(self, *, stale: bool) -> None:
        if stale != self.stale:
            self.stale = stale
            finding = "too far behind, and passed over" if stale else "fresh again"
            log.warning("the %s is %s", self.replica.name, finding)


class Freshness:
    """`run()` is one task. With the primary out of reach the last verdicts on the replicas stand."""

    def __init__(self, replicas: Iterable[Server], primary: Server, *, max_staleness_seconds: float) -> None:
        self._verdicts = {replica.name: _Verdict(replica) for replica in replicas}
        self._primary = primary
        self._primary_openings = 0
        self._max_staleness_seconds = max_staleness_seconds

    def stale(self, server: Server) -> bool:
        """Whether the server is known to be further behind than it may be."""
        verdict = self._verdicts.get(server.name)
        return verdict is not None and verdict.stale

    def ages_seconds(self) -> dict[str, float]:
        """By replica: how old its state is at most. Without those that were not checked yet."""
        now = asyncio.get_running_loop().time()
        return {
            name: now - verdict.fresh_at
            for name, verdict in self._verdicts.items()
            if verdict.fresh_at is not None
        }

    async def run(self) -> None:
        """Check twice a second, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(_CHECK_SECONDS)

    async def check(self) -> None:
        """Once, all replicas at the same time."""
        await self._aim()
        await asyncio.gather(*(self._check(verdict) for verdict in self._verdicts.values()))

    async def _aim(self) -> None:
        """Give each replica that waits for none a position to reach."""
        verdicts = self._verdicts.values()
        if self._primary.openings != self._primary_openings:
            # Perhaps after a failover: the position may be one of a log that is gone, and never be reached.
            self._primary_openings = self._primary.openings
            for verdict in verdicts:
                verdict.waiting_for = None
        aimless = [verdict for verdict in verdicts if verdict.waiting_for is None]
        if aimless:
            now = asyncio.get_running_loop().time()
            try:
                position = await self._primary.primary_position()
            except ConnectionFailedError:
                return
            for verdict in aimless:
                verdict.waiting_for = (position, now)

    async def _check(self, verdict: _Verdict) -> None:
        if verdict.waiting_for is None:
            return
        position, since = verdict.waiting_for
        now = asyncio.get_running_loop().time()
        try:
            await verdict.replica.snapshot(())
        except ConnectionFailedError:
            return
        if verdict.replica.replayed >= position:
            verdict.waiting_for = None
            verdict.fresh_at = since
            verdict.judge(stale=False)
        elif now - since > self._max_staleness_seconds:
            verdict.judge(stale=True)
