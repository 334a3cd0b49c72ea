"""A load generator that doesn't wait for answers: it offers a rate, whatever becomes of it.

Each connection is a phone: it asks for popups, and confirms the first one with its next request. What is
refused it asks again when its turn comes. Only status, lengths and one token are looked at.
"""

import asyncio
import itertools
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, cast

import uvloop

from loadtests.generator import Answers

_TICK_SECONDS: Final = 0.002
#: After the time is over; what is not answered then is lost.
_LAST_ANSWERS_SECONDS: Final = 15.0
_TOKEN: Final = b'"token":"'


@dataclass(frozen=True)
class Load:
    """`rate` in requests a second; None: each connection sends when it has its answer (closed loop).

    `connected`: all connections are open before the time begins, as those of a load balancer are. Else one is
    opened when none is free.
    """

    address: tuple[str, int]
    jwts: list[bytes]
    connections: int
    seconds: float
    rate: float | None = None
    connected: bool = True


@dataclass
class Outcome:
    """`latencies`: (seconds since the start, seconds from sending to the answer) of what was accepted."""

    seconds: float = 0.0
    sent: int = 0
    not_sent: int = 0  # all connections were waiting for an answer
    lost: int = 0  # begun, and no answer came
    not_connected: int = 0
    without_retry_after: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)  # seconds since the start

    def add(self, other: "Outcome") -> None:
        """What another generator did at the same time."""
        self.seconds = max(self.seconds, other.seconds)
        for name in ("sent", "not_sent", "lost", "not_connected", "without_retry_after"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.statuses += other.statuses
        self.latencies += other.latencies
        self.refused_at += other.refused_at

    @property
    def accepted(self) -> int:
        return sum(count for status, count in self.statuses.items() if status // 100 == 2)


def generate(load: Load) -> Outcome:
    """Run it in this process, on an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(offer(load))


async def offer(load: Load) -> Outcome:
    phones = _Phones(load)
    if load.connected:
        for _ in range(load.connections):
            await phones.connect()
    await phones.send_all()
    await phones.end()
    return phones.outcome


class _Phones:
    """All connections of a generator."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.outcome = Outcome(load.seconds)
        self.free: deque[_Phone] = deque()
        self.busy: set[_Phone] = set()
        self.started = time.perf_counter()
        self.over = False
        self._opened = 0
        self._jwts = itertools.cycle(load.jwts)
        self._tasks: set[asyncio.Task[None]] = set()

    async def send_all(self) -> None:
        self.started = time.perf_counter()
        due = 0
        while (elapsed := time.perf_counter() - self.started) < self.load.seconds:
            if self.load.rate is None:
                self._send_free()
            else:
                target = int(elapsed * self.load.rate)
                for _ in range(target - due):
                    self._send_one()
                due = target
            await asyncio.sleep(_TICK_SECONDS)
        self.over = True

    async def connect(self) -> None:
        """Open one more."""
        self._opened += 1
        await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        jwt = next(self._jwts)
        try:
            await loop.create_connection(lambda: _Phone(self, jwt), *self.load.address)
        except OSError:
            self._opened -= 1
            self.outcome.not_connected += 1

    async def end(self) -> None:
        deadline = time.perf_counter() + _LAST_ANSWERS_SECONDS
        while (self.busy or self._tasks) and time.perf_counter() < deadline:  # noqa: ASYNC110  (polls many)
            await asyncio.sleep(_TICK_SECONDS)
        self.outcome.lost += len(self.busy)
        for phone in (*self.busy, *self.free):
            phone.close()

    def closed(self) -> None:
        self._opened -= 1

    def _send_free(self) -> None:
        while self.free:
            self.free.popleft().send()

    def _send_one(self) -> None:
        if self.free:
            self.free.popleft().send()
        elif self._opened < self.load.connections:
            self._opened += 1
            task = asyncio.create_task(self._connect_and_send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self.outcome.not_sent += 1

    async def _connect_and_send(self) -> None:
        await self._connect()
        if self.free and not self.over:
            self.free.pop().send()


class _Phone(Answers):
    def __init__(self, phones: _Phones, jwt: bytes) -> None:
        super().__init__()
        self._phones = phones
        self._jwt = jwt
        self._token = b""
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._phones.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._phones.closed()
        if self in self._phones.busy:
            self._phones.busy.discard(self)
            self._phones.outcome.lost += 1
        elif self in self._phones.free:
            self._phones.free.remove(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def send(self) -> None:
        assert self._transport is not None
        self._phones.busy.add(self)
        self._phones.outcome.sent += 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._post() if self._token else self._get())

    def _unreadable(self, error: Exception) -> None:
        del error
        self.close()  # counts as lost

    def _answered(self, status: int, data: bytes, body_at: int) -> None:
        now = time.perf_counter()
        phones, outcome = self._phones, self._phones.outcome
        phones.busy.discard(self)
        outcome.statuses[status] += 1
        if status // 100 == 2:
            outcome.latencies.append((now - phones.started, now - self._sent_at))
            self._token = b"" if self._token else _first_token(data, body_at)
        else:
            outcome.refused_at.append(now - phones.started)
            head = data[:body_at].lower()
            outcome.without_retry_after += b"\r\nretry-after:" not in head
            if b"\r\nconnection: close" in head:
                self.close()
                return
        if phones.load.rate is None and not phones.over:
            self.send()
        else:
            phones.free.append(self)

    def _get(self) -> bytes:
        return (
            b"GET /v1/popups?placement=home&platform=android HTTP/1.1\r\nHost: flood\r\n"
            b"Authorization: Bearer %b\r\n\r\n" % self._jwt
        )

    def _post(self) -> bytes:
        body = b'{"token":"%b"}' % self._token
        return (
            b"POST /v1/impressions HTTP/1.1\r\nHost: flood\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (self._jwt, len(body), body)
        )


def _first_token(data: bytes, body_at: int) -> bytes:
    at = data.find(_TOKEN, body_at)
    return data[at + len(_TOKEN) : data.index(b'"', at + len(_TOKEN))] if at >= 0 else b""
