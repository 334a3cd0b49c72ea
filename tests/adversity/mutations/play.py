"""Requests drawn by hypothesis, sent byte by byte, and judged."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.adversity.mutations.judge import HANG_SECONDS, Outcome, fault
from tests.adversity.mutations.mutators import mutated
from tests.adversity.mutations.requests import Request

_AT_ONCE: Final = 8
_AFTER_SECONDS: Final = 0.05
_BATCH: Final = 500
_PIECE_BYTES: Final = 64 * 1024


@dataclass
class Tally:
    """`answers` by status and code; `faults` as text, with the request."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.answers.total()


def drawn(good: Sequence[Request], *, number: int, seed_: int) -> list[Request]:
    """The same ones for the same seed."""
    found: list[Request] = []

    @seed(seed_)
    @settings(
        max_examples=number, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutated(good))
    def draw(request: Request) -> None:
        found.append(request)

    draw()
    return found


async def play(
    address: tuple[str, int],
    good: Sequence[Request],
    *,
    number: int,
    seed: int,
    done: Callable[[int], object] = lambda _: None,
) -> Tally:
    """At least `number` requests, in batches with a seed each."""
    tally = Tally()
    for batch in _batches(number):
        requests = iter(
            await asyncio.to_thread(drawn, good, number=batch, seed_=seed * 1_000_000 + tally.requests)
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(_play(address, requests, tally, done))
    return tally


def _batches(number: int) -> Iterator[int]:
    while number > 0:
        yield min(number, _BATCH)
        number -= _BATCH


async def _play(
    address: tuple[str, int], requests: Iterator[Request], tally: Tally, done: Callable[[int], object]
) -> None:
    for request in requests:
        outcome = await ask(address, request)
        problem = fault(request, outcome)
        if problem is not None:
            tally.faults.append(
                f"{problem}: {request.route}, {', '.join(request.notes)}: {request.written()[:600]!r}"
            )
        tally.answers[outcome.status, outcome.code] += 1
        tally.routes[request.route] += 1
        done(1)


async def ask(address: tuple[str, int], request: Request) -> Outcome:
    """Send it over a connection of its own, and read what comes."""
    reader, writer = await asyncio.open_connection(*address)
    sending = asyncio.create_task(_send(writer, request.written()[: request.stops_after]))
    try:
        async with asyncio.timeout(HANG_SECONDS):
            return await _outcome(reader, request)
    except TimeoutError:
        return Outcome(0, {}, b"", error=f"no answer within {HANG_SECONDS:g} s")
    except (OSError, EOFError) as error:
        return Outcome(0, {}, b"", error=f"no answer: {type(error).__name__}")
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(OSError):  # it was answered before it was read whole
        for at in range(0, len(data), _PIECE_BYTES):
            writer.write(data[at : at + _PIECE_BYTES])
            await writer.drain()


async def _outcome(reader: asyncio.StreamReader, request: Request) -> Outcome:
    status = 100
    while status == 100:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        status = int(lines[0].split(" ")[1])
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    bodyless = request.method == b"HEAD" or status in (204, 304)
    body = b"" if bodyless else await reader.readexactly(int(fields.get("content-length", "0")))
    more = b""
    if request.framing is None:
        return Outcome(status, fields, body)
    with suppress(TimeoutError, OSError):  # was another request hidden in it?
        async with asyncio.timeout(_AFTER_SECONDS):
            more = await reader.read(1000)
    return Outcome(status, fields, body, more)
