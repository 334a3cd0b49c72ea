"""A sink in memory. Each write waits for the test's verdict, so a test says when and how a COPY ends."""

import asyncio
from collections.abc import Callable

from buffer.connection import ConnectionFailedError
from tests.support.rows import read_row

_SECONDS = 10.0


class Write:
    """One COPY in flight."""

    def __init__(self, sink: "ScriptedSink", seqs: list[int]) -> None:
        self.seqs = seqs
        self._sink = sink
        self._verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def commit(self) -> None:
        self._sink.table += self.seqs
        self._verdict.set_result(None)

    def lose(self, *, committed: bool = False) -> None:
        """The connection goes before the answer has come; whether it was committed, the sender can't know."""
        if committed:
            self._sink.table += self.seqs
        self._verdict.set_exception(ConnectionFailedError("lost during the COPY"))

    async def verdict(self) -> None:
        await self._verdict


class ScriptedSink:
    """`table` holds the seqs in the order of their commit; `merged` is what a watermark read gives."""

    def __init__(self) -> None:
        self.table: list[int] = []
        self.merged = 0
        self.opened = 0
        self.refused = 0
        self.closed = False
        #: Whether the server takes connections and answers probes.
        self.up = True
        self.in_flight = 0
        self.most_in_flight = 0
        self.on_lost: Callable[[], None] = lambda: None
        self._writes: asyncio.Queue[Write] = asyncio.Queue()
        self._probes: asyncio.Queue[int] = asyncio.Queue()
        self._opens: asyncio.Queue[int] = asyncio.Queue()

    async def open(self, on_lost: Callable[[], None]) -> int:
        self._opens.put_nowait(self.merged)
        if not self.up:
            self.refused += 1
            raise ConnectionFailedError("refused")
        self.opened += 1
        self.on_lost = on_lost
        return self.merged

    async def write(self, rows: list[bytes]) -> None:
        write = Write(self, [read_row(row).seq for row in rows])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._writes.put_nowait(write)
        try:
            await write.verdict()
        finally:
            self.in_flight -= 1

    async def watermark(self) -> int:
        self._probes.put_nowait(self.merged)
        if not self.up:
            raise ConnectionFailedError("no answer to the probe")
        return self.merged

    async def close(self) -> None:
        self.closed = True

    def wipe(self) -> None:
        """A crash of the database: the UNLOGGED table is empty, what was merged stays merged."""
        self.table = [seq for seq in self.table if seq <= self.merged]

    async def next_write(self) -> Write:
        async with asyncio.timeout(_SECONDS):
            return await self._writes.get()

    async def next_probe(self) -> int:
        async with asyncio.timeout(_SECONDS):
            return await self._probes.get()

    async def next_open(self) -> int:
        """Returns when somebody connects, or tries to."""
        async with asyncio.timeout(_SECONDS):
            return await self._opens.get()

    @property
    def quiet(self) -> bool:
        """Nobody has begun a write that the test has not taken yet."""
        return self._writes.empty()
