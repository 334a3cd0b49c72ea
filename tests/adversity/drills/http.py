"""Raw HTTP/1.1 connections: cheap enough that the drill's own cost does not hide the service's."""

import asyncio
import json
from typing import Any, Final, Self

from loadtests.generator import parse
from tests.support.waiting import until

_ANSWER_SECONDS: Final = 30.0


class Wire:
    """One kept-alive connection with one request in flight."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body). Raises OSError or TimeoutError; then the connection can't be used any more."""
        self._writer.write(request)
        async with asyncio.timeout(_ANSWER_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            parsed = parse(head)
            assert parsed is not None  # the head is whole
            status, body_from, body_to = parsed
            return status, await self._reader.readexactly(body_to - body_from)

    def close(self) -> None:
        self._writer.transport.abort()


def get_popups(jwt: bytes, query: bytes) -> bytes:
    return b"GET /v1/popups?%b HTTP/1.1\r\nHost: drill\r\nAuthorization: Bearer %b\r\n\r\n" % (query, jwt)


def post_impressions(jwt: bytes, document: Any) -> bytes:
    body = json.dumps(document).encode()
    return (
        b"POST /v1/impressions HTTP/1.1\r\nHost: drill\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (jwt, len(body), body)
    )


async def wires_to_each_worker(host: str, port: int, workers: int, each: int) -> list[list[Wire]]:
    """`each` connections to every worker: SO_REUSEPORT spreads new ones by a hash."""
    found: dict[str, list[Wire]] = {}

    async def enough() -> bool:
        wire = await Wire.open(host, port)
        _, body = await wire.ask(b"GET /metrics HTTP/1.1\r\nHost: drill\r\n\r\n")
        # The worker that answers comes first.
        worker = body.split(b'tayang_events_accepted_total{worker="', 1)[1].split(b'"', 1)[0].decode()
        mine = found.setdefault(worker, [])
        if len(mine) < each:
            mine.append(wire)
        else:
            wire.close()
        return len(found) == workers and all(len(wires) == each for wires in found.values())

    await until(enough, f"{each} connections to each of {workers} workers", seconds=60)
    return [found[worker] for worker in sorted(found)]
