"""The flusher: one COPY in flight, and whatever arrives meanwhile is the next batch.

No timer: light load has no added delay, heavy load makes bigger batches. After a lost connection
it reads the primary's watermark and sends everything above it again, oldest first, before anything
new (I1, I6). The merge drops what arrives twice (I2).
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from buffer.connection import ConnectionFailedError
from buffer.pending import PendingList
from buffer.sink import Sink

log = logging.getLogger("tayang.flusher")

_BACKOFF_FIRST_SECONDS: Final = 0.05
_BACKOFF_MAX_SECONDS: Final = 2.0
_SWEEP_SECONDS: Final = 0.1
_STOPPING_PROBE_SECONDS: Final = 0.05


class AckTimeoutError(Exception):
    """Not committed within the deadline. The event stays queued; a resend is harmless."""


@dataclass
class FlusherStats:
    """Counters since the start of the process."""

    copies: int = 0
    rows_copied: int = 0
    rows_sent_again: int = 0
    reconnects: int = 0
    ack_timeouts: int = 0
    connected: bool = False
    last_error: str = ""


class _Waiters:
    """Requests that wait for an acknowledgement. Each has a future of its own: one may be cancelled alone."""

    def __init__(self) -> None:
        self._by_seq: dict[int, list[tuple[asyncio.Future[None], float]]] = {}

    def add(self, seq: int, deadline: float) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self._by_seq.setdefault(seq, []).append((future, deadline))
        return future

    def resolve(self, acked_through: int) -> None:
        for seq in [seq for seq in self._by_seq if seq <= acked_through]:
            for future, _ in self._by_seq.pop(seq):
                if not future.done():
                    future.set_result(None)

    def expire(self, now: float) -> int:
        """End the waits whose deadline has passed; returns how many requests still waited."""
        expired = 0
        for seq, waiting in list(self._by_seq.items()):
            for future, _ in (waiter for waiter in waiting if waiter[1] <= now):
                if not future.done():
                    future.set_exception(AckTimeoutError())
                    expired += 1
            self._by_seq[seq] = [waiter for waiter in waiting if waiter[1] > now]
            if not self._by_seq[seq]:
                del self._by_seq[seq]
        return expired


class Flusher:
    """Moves events from the pending list to the sink. `run()` is one task; `stop()` drains it."""

    def __init__(
        self,
        pending: PendingList,
        sink: Sink,
        *,
        max_rows: int,
        ack_timeout_seconds: float,
        probe_seconds: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.pending = pending
        self.stats = FlusherStats()
        self._sink = sink
        self._max_rows = max_rows
        self._ack_timeout_seconds = ack_timeout_seconds
        self._probe_seconds = probe_seconds
        self._jitter = jitter
        self._waiters = _Waiters()
        self._wake = asyncio.Event()
        self._lost = False
        self._stopping = False
        self._all_merged = asyncio.Event()

    def wake(self) -> None:
        """Something was appended. Never blocks."""
        self._wake.set()

    async def acknowledged(self, seq: int) -> None:
        """Return once the event `seq` is committed in the buffer table.

        Raises AckTimeoutError after the acknowledgement time.
        """
        if seq > self.pending.acked_through:
            deadline = asyncio.get_running_loop().time() + self._ack_timeout_seconds
            await self.acknowledgement(seq, deadline)

    def acknowledgement(self, seq: int, deadline: float) -> asyncio.Future[None]:
        """The same for who can't wait, or has waited before, of an event that is not committed yet.

        `deadline` is of the loop's clock.
        """
        self._wake.set()
        return self._waiters.add(seq, deadline)

    async def run(self) -> None:
        """Flush, whatever happens to the connection, until cancelled (call `stop()` first)."""
        sweeper = asyncio.create_task(self._sweep(), name="ack-deadlines")
        failures = 0
        try:
            while True:
                failures = 0 if await self._session() else failures + 1
                delay = min(_BACKOFF_MAX_SECONDS, _BACKOFF_FIRST_SECONDS * 2 ** min(failures, 10))
                await asyncio.sleep(delay * (0.5 + self._jitter() / 2))
        finally:
            sweeper.cancel()
            await self._sink.close()

    async def stop(self, *, flush_seconds: float, merge_seconds: float) -> None:
        """Flush what is queued, then wait until it is merged, each at most so long.

        A buffered row outlives a crash of the database only while this process remembers it; so a
        process that leaves waits for the merge instead of leaving the buffer as the only copy.
        """
        self._stopping = True
        self._wake.set()
        pending = self.pending
        with contextlib.suppress(TimeoutError, AckTimeoutError):
            async with asyncio.timeout(flush_seconds):
                await self.acknowledged(pending.last_seq)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(merge_seconds):
                await self._all_merged.wait()
        if not self._all_merged.is_set() and len(pending):
            unacked = pending.last_seq - pending.acked_through
            log.warning(
                "stopped with %d events not yet merged, %d not yet acknowledged", len(pending), unacked
            )

    async def _session(self) -> bool:
        """One connection's life, up to its loss. Returns whether it was ever up."""
        self._lost = False
        try:
            self._resume(await self._sink.open(self._connection_lost))
            while not self._lost:
                await self._flush_or_wait()
            self.stats.last_error = "the connection was lost"
        except ConnectionFailedError as error:
            self.stats.last_error = str(error)
        was_up, self.stats.connected = self.stats.connected, False
        log.warning("primary: %s; %d events are kept", self.stats.last_error, len(self.pending))
        return was_up

    def _resume(self, watermark: int) -> None:
        again = self.pending.rewind(watermark)
        self._waiters.resolve(self.pending.acked_through)  # what was merged meanwhile is more than committed
        self.stats.connected = True
        self.stats.reconnects += 1
        self.stats.rows_sent_again += again
        if again:
            log.warning(
                "connected again: the primary has merged seq %d; %d rows are sent again", watermark, again
            )

    async def _flush_or_wait(self) -> None:
        rows = self.pending.take_unsent(self._max_rows)
        if rows:
            await self._sink.write(rows)
            self.stats.copies += 1
            self.stats.rows_copied += len(rows)
            self.pending.acknowledge()
            self._waiters.resolve(self.pending.acked_through)
            return
        self._wake.clear()
        if self._stopping:
            await self._probe()
        try:
            async with asyncio.timeout(_STOPPING_PROBE_SECONDS if self._stopping else self._probe_seconds):
                await self._wake.wait()
        except TimeoutError:
            # A wiped buffer must be noticed also when nothing new arrives; with nothing pending,
            # there is nothing to lose.
            if len(self.pending):
                await self._probe()

    async def _probe(self) -> None:
        merged = await self._sink.watermark()
        if self._stopping and (merged >= self.pending.last_seq or not len(self.pending)):
            self._all_merged.set()

    def _connection_lost(self) -> None:
        self._lost = True
        self._wake.set()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.stats.ack_timeouts += self._waiters.expire(loop.time())
