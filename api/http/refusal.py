"""Refusals that cost nearly nothing: ready-made bytes, and a connection that is not reset over them."""

import asyncio
import json
from collections.abc import Callable
from typing import Final, cast

from api.errors import PASSING, PROBLEM_JSON, Code

_REASONS: Final = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


def ready_made(code: Code, detail: str, *, retry_after_seconds: int = 1, closes: bool = True) -> bytes:
    """A whole HTTP/1.1 answer with a problem document. `closes` says that the connection ends with it."""
    body = json.dumps(problem(code, detail)).encode()
    retry = f"Retry-After: {retry_after_seconds}\r\n" if code.status in PASSING else ""
    connection = "Connection: close\r\n" if closes else ""
    head = (
        f"HTTP/1.1 {code.status} {_REASONS[code.status]}\r\nContent-Type: {PROBLEM_JSON}\r\n"
        f"Content-Length: {len(body)}\r\n{retry}{connection}\r\n"
    )
    return head.encode() + body


def problem(code: Code, detail: str) -> dict[str, str | int]:
    return {
        "type": "about:blank",
        "title": code.title,
        "status": code.status,
        "code": code.code,
        "detail": detail,
    }


def wants_close(data: bytes) -> bool:
    """Whether a whole request asks for the end of its connection."""
    return b"\r\nconnection: close\r\n" in data[: data.find(b"\r\n\r\n") + 2].lower()


class Refusal(asyncio.Protocol):
    """Answers the first request of a connection with ready-made bytes, and waits for the client to close.

    Closing while something unread is there would reset the connection, and the client might never see
    the answer: so the request is read first, and what comes after it is read and dropped. All of it within
    `seconds`. `divert` sees the first bytes; if it returns True, it has taken the connection over.
    """

    def __init__(
        self,
        answer: bytes,
        *,
        seconds: float,
        on_end: Callable[["Refusal"], None],
        divert: Callable[[asyncio.Transport, bytes], bool] | None = None,
    ) -> None:
        self._answer = answer
        self._seconds = seconds
        self._on_end = on_end
        self._divert = divert
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._deadline = asyncio.get_running_loop().call_later(self._seconds, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._answered:
            return
        self._answered = True
        if self._divert is not None and self._divert(self._transport, data):
            self._end()
            return
        self._transport.write(self._answer)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def end_now(self) -> None:
        """Wait no longer, whatever has come so far: there are too many that do."""
        if self._transport is not None:
            if not self._answered:
                self._transport.write(self._answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end()

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._on_end(self)
