"""Many phones at once, each with its own connection, that ask for popups and confirm them, or never do."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

#: A phone that got no popup asks again after so long.
PAUSE_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 30.0


@dataclass
class Tally:
    """What all phones together were told."""

    accepted: int = 0
    served: int = 0
    kept_back: int = 0  # served to a phone that never confirms
    statuses: Counter[int] = field(default_factory=Counter)  # of confirmations
    last_served_at: float = math.inf


class Phone:
    """`jwt` is its user's. Raises OSError, TimeoutError or EOFError when the service fails it."""

    def __init__(self, address: tuple[str, int], jwt: str, placement: str) -> None:
        host = f"Host: {address[0]}:{address[1]}\r\nAuthorization: Bearer {jwt}\r\n"
        self._get = f"GET /v1/popups?placement={placement} HTTP/1.1\r\n{host}\r\n".encode()
        self._post = f"POST /v1/impressions HTTP/1.1\r\n{host}Content-Length: ".encode()
        self._address = address

    async def use(self, tally: Tally, *, confirms: bool, done: Callable[[], bool]) -> None:
        """Ask, show, confirm (or not), until `done`."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            while not done():
                tokens = await self._ask(reader, writer)
                tally.served += len(tokens)
                if tokens:
                    tally.last_served_at = time.monotonic()
                for token in tokens:
                    if confirms:
                        await self._confirm(reader, writer, token, tally)
                    else:
                        tally.kept_back += 1
                if not tokens:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[str]:
        writer.write(self._get)
        status, body = await _answer(reader)
        return [popup["token"] for popup in json.loads(body)["popups"]] if status == 200 else []

    async def _confirm(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, tally: Tally
    ) -> None:
        """The same token again until the service has decided, as the rules for clients say."""
        body = json.dumps({"token": token}).encode()
        request = self._post + b"%d\r\n\r\n%b" % (len(body), body)
        while True:
            writer.write(request)
            status, _ = await _answer(reader)
            tally.statuses[status] += 1
            if status == 202:
                tally.accepted += 1
            if status != 503:
                return
            await asyncio.sleep(PAUSE_SECONDS)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(_ANSWER_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await reader.readexactly(length)
