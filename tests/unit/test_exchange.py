"""How announcements come back after a lost connection. The clock jumps, nothing is on a wire."""

import asyncio
from itertools import pairwise
from typing import cast

import asyncpg

from api.peers.exchange import Exchange
from api.peers.memory import PeerMemory
from tests.adversity.interleavings.virtual_time import VirtualLoop


class _Lost:
    """A connection that takes LISTEN, and breaks at the first announcement."""

    def add_termination_listener(self, _listener: object) -> None:
        """It tells nobody."""

    async def add_listener(self, _channel: str, _callback: object) -> None:
        """Heard."""

    async def execute(self, _statement: str, _payloads: list[str]) -> None:
        raise ConnectionResetError("lost")

    def is_closed(self) -> bool:
        return True

    def terminate(self) -> None:
        """It is gone already."""


def times_of_connecting(count: int, *, refused: bool) -> list[float]:
    loop = VirtualLoop()
    connected: list[float] = []
    enough = asyncio.Event()

    async def connect() -> asyncpg.Connection:
        connected.append(loop.time())
        if len(connected) == count:
            enough.set()
        if refused:
            raise ConnectionRefusedError("refused")
        return cast("asyncpg.Connection", _Lost())

    async def run() -> None:
        exchange = Exchange(
            connect,
            PeerMemory(max_rows=10, kept_seconds=60.0, clock=loop.time),
            instance=1,
            interval_seconds=0.01,
            timeout_seconds=5.0,
            max_rows=10,
        )
        running = asyncio.create_task(exchange.run())
        await enough.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    return connected


def gaps(times: list[float]) -> list[float]:
    return [round(later - earlier, 6) for earlier, later in pairwise(times)]


def test_while_nobody_answers_the_pauses_grow_up_to_a_bound() -> None:
    assert gaps(times_of_connecting(8, refused=True)) == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_connection_that_worked_is_opened_again_without_a_long_pause() -> None:
    """However often it was lost before."""
    assert max(gaps(times_of_connecting(8, refused=False))) <= 0.2
