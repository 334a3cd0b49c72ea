"""An HTTP/1.1 client that shows what happens on the wire: it never retries and hides no reset."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class RawClient:
    """One connection at a time; a new one after an answer that ends it, or for every request."""

    def __init__(self, host: str, port: int, *, keep_alive: bool = True) -> None:
        self._address = host, port
        self._keep_alive = keep_alive
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, document: Any = None
    ) -> Answer:
        """Raises ConnectionRefusedError if nobody listens; any other error is a request without an answer."""
        body = b"" if document is None else json.dumps(document).encode()
        fields = {"Host": "test", "Content-Length": str(len(body)), **(headers or {})}
        if not self._keep_alive:
            fields["Connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return await self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def send(self, request: bytes) -> Answer:
        """The bytes as they are."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await self.connect()
            writer.write(request)
            return await self.answer(reader)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        return self._streams

    async def answer(self, reader: asyncio.StreamReader) -> Answer:
        """The next answer on the wire."""
        answer = await read_answer(reader)
        if answer.closes or not self._keep_alive:
            await self.close()
        return answer

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with suppress(OSError):  # it was reset before
                await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(_ANSWER_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(status_line.split(" ")[1]), headers, body)
