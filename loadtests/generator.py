"""A closed-loop HTTP/1.1 load generator: N connections, one request in flight on each.

Requests are ready-made bytes, and of an answer only the status and Content-Length are read: the
generator must stay cheaper than the server, or it would measure itself.
"""

import asyncio
import gc
import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

#: The bytes to send, and a number that `on_answer` gets back with the answer's body.
Request = tuple[bytes, int]
OnAnswer = Callable[[int, bytes], None]

#: On top of the planned time: an answer that takes longer is a hang.
_HANG_SECONDS: Final = 30.0
_HARVEST_MAX_SECONDS: Final = 600.0
_HEAD_MAX_BYTES: Final = 16 * 1024


class LoadError(Exception):
    """The run is void: an unexpected status, a lost connection, a hang, or no requests left."""


@dataclass
class LoadResult:
    """`latencies` in seconds, of the answers inside the measured window; `answers` counts all of them."""

    window_seconds: float
    elapsed_seconds: float = 0.0
    answers: int = 0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


async def closed_loop(
    address: tuple[str, int],
    requests: Iterator[Request],
    *,
    connections: int,
    expected_status: int | frozenset[int],
    warm_up_seconds: float = 0.0,
    measure_seconds: float | None = None,
    on_answer: OnAnswer | None = None,
) -> LoadResult:
    """Send until the time is over, or without a time until `requests` ends. Raises LoadError."""
    expected = frozenset({expected_status}) if isinstance(expected_status, int) else expected_status
    load = _Load(requests, expected, on_answer, timed=measure_seconds is not None)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: load.fail(str(context.get("exception") or context)))
    duration = math.inf if measure_seconds is None else warm_up_seconds + measure_seconds
    limit = _HARVEST_MAX_SECONDS if measure_seconds is None else duration + _HANG_SECONDS
    gc.collect()
    gc.disable()  # a collection here would be seen as a slow answer there
    try:
        async with asyncio.timeout(limit):
            await asyncio.gather(
                *(loop.create_connection(lambda: _Connection(load), *address) for _ in range(connections))
            )
            return await load.run(warm_up_seconds, duration)
    except TimeoutError:
        raise LoadError(f"{load.in_flight} requests were not answered within {limit:.0f} s") from None
    except OSError as error:
        raise LoadError(f"cannot connect to {address[0]}:{address[1]}: {error}") from error
    finally:
        load.end()
        gc.enable()


def parse(data: bytes) -> tuple[int, int, int] | None:
    """(status, start of the body, end of the body) of an answer; None while its head is incomplete."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        if len(data) > _HEAD_MAX_BYTES:
            raise LoadError("an answer's head is longer than 16 KiB")
        return None
    head = data[: head_end + 2].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0 or not head.startswith(b"http/1.1 "):
        raise LoadError(f"no HTTP/1.1 answer with a Content-Length: {data[:80]!r}")
    length = int(head[at + 17 : head.index(b"\r\n", at + 17)])
    return int(data[9:12]), head_end + 4, head_end + 4 + length


class Answers(asyncio.Protocol, ABC):
    """Puts answers together, however they are cut into packets; one request is in flight."""

    def __init__(self) -> None:
        self._partial = b""

    def data_received(self, data: bytes) -> None:
        if self._partial:
            data = self._partial + data
        try:
            answer = parse(data)
        except (LoadError, ValueError) as error:
            self._unreadable(error)
            return
        if answer is None or answer[2] > len(data):
            self._partial = data
            return
        self._partial = b""
        self._answered(answer[0], data, answer[1])

    @abstractmethod
    def _answered(self, status: int, data: bytes, body_at: int) -> None:
        """The whole answer is in `data`."""

    @abstractmethod
    def _unreadable(self, error: Exception) -> None:
        """What came is no answer."""


class _Load:
    """What the connections of a run share."""

    def __init__(
        self,
        requests: Iterator[Request],
        expected: frozenset[int],
        on_answer: OnAnswer | None,
        *,
        timed: bool,
    ) -> None:
        self.expected = expected
        self.on_answer = on_answer
        self.in_flight = 0
        self.measure_from = self.measure_until = math.inf
        self.result = LoadResult(0.0)
        self._requests = requests
        self._timed = timed
        self._connections: list[_Connection] = []
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, connection: "_Connection") -> None:
        self._connections.append(connection)

    async def run(self, warm_up_seconds: float, duration_seconds: float) -> LoadResult:
        started = time.perf_counter()
        self.measure_from = started + warm_up_seconds
        self.measure_until = started + duration_seconds
        for connection in self._connections:
            connection.send_next(started)
        await self._finished
        self.result.elapsed_seconds = time.perf_counter() - started
        self.result.window_seconds = min(
            duration_seconds - warm_up_seconds, self.result.elapsed_seconds - warm_up_seconds
        )
        return self.result

    def next_request(self, now: float) -> Request | None:
        """None when there is nothing left to do; then the run ends with the last answer."""
        if now < self.measure_until and not self._finished.done():
            request = next(self._requests, None)
            if request is not None:
                self.in_flight += 1
                return request
            if self._timed:
                self.fail("there were too few requests for the time: harvest more or measure shorter")
        if self.in_flight == 0 and not self._finished.done():
            self._finished.set_result(None)
        return None

    def fail(self, message: str) -> None:
        if not self._finished.done():
            self._finished.set_exception(LoadError(message))

    def end(self) -> None:
        for connection in self._connections:
            connection.close()
        if self._finished.done() and not self._finished.cancelled():
            self._finished.exception()  # it may have been set while nobody waited for it


class _Connection(Answers):
    def __init__(self, load: _Load) -> None:
        super().__init__()
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._number = 0
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._load.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._load.fail(f"the server closed a connection: {exc or 'end of file'}")

    def close(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def send_next(self, now: float) -> None:
        request = self._load.next_request(now)
        if request is not None and self._transport is not None:
            data, self._number = request
            self._sent_at = now
            self._transport.write(data)

    def _unreadable(self, error: Exception) -> None:
        self._load.fail(str(error))

    def _answered(self, status: int, data: bytes, body_at: int) -> None:
        now = time.perf_counter()
        load = self._load
        load.in_flight -= 1
        load.result.answers += 1
        load.result.statuses[status] += 1
        if status not in load.expected:
            expected = " or ".join(map(str, sorted(load.expected)))
            load.fail(f"status {status} instead of {expected}: {data[body_at : body_at + 300]!r}")
            return
        if load.measure_from <= now <= load.measure_until:
            load.result.latencies.append(now - self._sent_at)
        if load.on_answer is not None:
            load.on_answer(self._number, data[body_at:])
        self.send_next(now)
