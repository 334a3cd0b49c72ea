"""An open loop: requests are sent when they are due, whether those before are answered or not."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, cast

from loadtests.generator import Answers, LoadError, LoadResult, Request

_TICK_SECONDS: Final = 0.001
_HANG_SECONDS: Final = 30.0


async def open_loop(
    address: tuple[str, int],
    requests: Iterator[Request],
    *,
    rate: float,
    connections: int,
    expected: frozenset[int],
    seconds: float,
) -> LoadResult:
    """`rate` requests a second, evenly; latencies from when each was due. Raises LoadError."""
    load = _Load(requests, expected)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(load), *address)
    try:
        async with asyncio.timeout(seconds + _HANG_SECONDS):
            return await load.run(rate, seconds)
    except TimeoutError:
        raise LoadError(f"requests were not answered within {_HANG_SECONDS:.0f} s") from None
    finally:
        load.end()


class _Load:
    def __init__(self, requests: Iterator[Request], expected: frozenset[int]) -> None:
        self.result = LoadResult(0.0)
        self.free: deque[_Connection] = deque()
        self.connections: list[_Connection] = []
        self._requests = requests
        self._expected = expected
        self._error: LoadError | None = None
        self._ending = False

    async def run(self, rate: float, seconds: float) -> LoadResult:
        started = time.perf_counter()
        sent, all_of_them = 0, round(rate * seconds)
        while sent < all_of_them:
            now = time.perf_counter()
            while self.free and sent < all_of_them and (due := started + sent / rate) <= now:
                request = next(self._requests, None)
                if request is None:
                    raise LoadError("there were too few requests for the time: measure shorter")
                self.free.popleft().send(request[0], due)
                sent += 1
            self._check()
            await asyncio.sleep(_TICK_SECONDS)
        while len(self.free) < len(self.connections):
            self._check()
            await asyncio.sleep(_TICK_SECONDS)
        self.result.window_seconds = seconds
        self.result.elapsed_seconds = time.perf_counter() - started
        return self.result

    def answered(self, connection: "_Connection", status: int, latency: float, body: bytes) -> None:
        self.result.answers += 1
        self.result.statuses[status] += 1
        self.result.latencies.append(latency)
        self.free.append(connection)
        if status not in self._expected:
            self.fail(f"status {status}: {body[:300]!r}")

    def fail(self, message: str) -> None:
        if not self._ending and self._error is None:
            self._error = LoadError(message)

    def end(self) -> None:
        self._ending = True
        for connection in self.connections:
            connection.close()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error


class _Connection(Answers):
    def __init__(self, load: _Load) -> None:
        super().__init__()
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._load.connections.append(self)
        self._load.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.fail(f"the server closed a connection: {exc or 'end of file'}")

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _unreadable(self, error: Exception) -> None:
        self._load.fail(str(error))

    def _answered(self, status: int, data: bytes, body_at: int) -> None:
        self._load.answered(self, status, time.perf_counter() - self._due, data[body_at:])
