"""What the stateful test does to a database, and a database in memory that follows the same rules.

What it models of PostgreSQL: a COPY commits whole or not at all; a crash or a promotion cuts every
connection and empties the UNLOGGED buffer; what was merged is durable, and the replica shows it later.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal, Protocol

from buffer.connection import ConnectionFailedError
from buffer.sink import Sink
from tests.support.rows import Row, read_row

Server = Literal["primary", "replica"]
Verdict = Literal["committed", "not sent", "committed, not answered"]
_TURNS = 20


@dataclass(frozen=True)
class Shown:
    """What a server shows of the log (user and impression id), and one instance's watermark."""

    log: frozenset[tuple[str, bytes]]
    watermark: int


class World(Protocol):
    def sink(self, instance: int) -> Sink: ...

    async def merge(self, max_rows: int) -> None: ...

    async def replicate(self) -> None:
        """The replica catches up."""

    async def crash(self) -> None:
        """The primary recovers from a crash."""

    async def shown(self, server: Server, instance: int) -> Shown: ...

    async def buffered(self) -> Collection[Row]:
        """The rows of the buffer, in the order in which they were committed."""

    async def settle(self, quiet: Callable[[], bool]) -> None:
        """Return when nothing happens any more that nobody asked for."""

    async def let(self, seconds: float) -> None:
        """So much time passes."""


class HeldSink:
    """A sink whose writes wait for a verdict, so that a test says when each ends, and how."""

    def __init__(self, inner: Sink) -> None:
        self.held: asyncio.Future[Verdict] | None = None
        self.holding = True
        self._inner = inner
        self._on_lost: Callable[[], None] = lambda: None

    async def open(self, on_lost: Callable[[], None]) -> int:
        self._on_lost = on_lost
        return await self._inner.open(on_lost)

    async def write(self, rows: list[bytes]) -> None:
        verdict: Verdict = "committed"
        if self.holding:
            self.held = asyncio.get_running_loop().create_future()
            verdict = await self.held
            self.held = None
        if verdict != "not sent":
            await self._inner.write(rows)
        if verdict != "committed":
            raise ConnectionFailedError(verdict)

    async def watermark(self) -> int:
        return await self._inner.watermark()

    async def close(self) -> None:
        await self._inner.close()

    def decide(self, verdict: Verdict) -> None:
        if self.held is not None and not self.held.done():
            self.held.set_result(verdict)

    def cut(self, verdict: Verdict) -> None:
        """The connection goes, and with it the write that is in flight."""
        self.decide(verdict)
        self._on_lost()


@dataclass
class MemoryWorld:
    """A primary and a replica in memory. Time is the loop's (see virtual_time)."""

    buffer: list[Row] = field(default_factory=list)
    epoch: int = 0  # connections of an earlier one are dead
    _log: frozenset[tuple[str, bytes]] = frozenset()
    _marks: dict[int, int] = field(default_factory=dict)
    _replica: tuple[frozenset[tuple[str, bytes]], dict[int, int]] = (frozenset(), {})
    _listeners: list[Callable[[], None]] = field(default_factory=list)

    def sink(self, instance: int) -> Sink:
        return _MemorySink(self, instance)

    def mark(self, instance: int) -> int:
        return self._marks.get(instance, 0)

    def listen(self, on_lost: Callable[[], None]) -> None:
        self._listeners.append(on_lost)

    async def merge(self, max_rows: int) -> None:
        merged: set[tuple[str, bytes]] = set()
        for instance in {row.instance for row in self.buffer}:
            fresh = [row for row in self.buffer if row.instance == instance and row.seq > self.mark(instance)]
            lowest = min((row.seq for row in fresh), default=0)
            taken = [row for row in fresh if row.seq < lowest + max_rows]
            merged |= {(row.user_id, row.impression_id) for row in taken}
            self._marks[instance] = max([self.mark(instance), *(row.seq for row in taken)])
        self._log |= merged
        self.buffer = [row for row in self.buffer if row.seq > self.mark(row.instance)]

    async def replicate(self) -> None:
        self._replica = (self._log, dict(self._marks))

    async def crash(self) -> None:
        self.epoch += 1
        self.buffer.clear()
        listeners, self._listeners = self._listeners, []
        for on_lost in listeners:
            on_lost()

    async def promote(self) -> None:
        """The primary is gone for good; the replica takes its place as it is."""
        self._log, self._marks = self._replica[0], dict(self._replica[1])
        await self.crash()

    async def shown(self, server: Server, instance: int) -> Shown:
        log, marks = self._replica if server == "replica" else (self._log, self._marks)
        return Shown(log, marks.get(instance, 0))

    async def buffered(self) -> Collection[Row]:
        return list(self.buffer)

    async def settle(self, quiet: Callable[[], bool]) -> None:
        del quiet
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def let(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _MemorySink:
    def __init__(self, world: MemoryWorld, instance: int) -> None:
        self._world = world
        self._instance = instance
        self._epoch = -1

    async def open(self, on_lost: Callable[[], None]) -> int:
        self._epoch = self._world.epoch
        self._world.listen(on_lost)
        return await self.watermark()

    async def write(self, rows: list[bytes]) -> None:
        self._alive()
        self._world.buffer += map(read_row, rows)

    async def watermark(self) -> int:
        self._alive()
        return self._world.mark(self._instance)

    async def close(self) -> None:
        self._epoch = -1

    def _alive(self) -> None:
        if self._epoch != self._world.epoch:
            raise ConnectionFailedError("the connection is gone")
