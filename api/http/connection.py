"""One client's connection: aiohttp's, with limits on how long it may take to ask and to read.

aiohttp waits for a head, and for a client that does not read its answer, without a limit of its own.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_request import BaseRequest

from api import errors
from api.errors import ProblemError
from api.http.framing import Framing, is_whole_request
from api.http.heads import whole
from api.http.middleware import translated
from api.http.refusal import ready_made, wants_close
from api.http.shedder import Gate

log = logging.getLogger("tayang.http")

#: How long a refused client may go on sending before it is cut off.
LINGER_SECONDS = 2.0
_WHY_MAX_CHARACTERS = 100
_TOO_MANY_FIELDS = "Too many headers received"


class ShortWay(Protocol):
    """`api.http.direct.DirectAnswers`."""

    taken: int

    def take(self, connection: "Connection", data: bytes) -> bool:
        """Whether the request is answered without aiohttp: by `begin`, and at some time `answer`."""


class Limits(Protocol):
    """What a connection asks its owner; `api.http.connections.Connections` is one."""

    head_timeout_seconds: float
    head_max_bytes: int
    write_timeout_seconds: float
    closing: bool  # every answer ends its connection
    heads_timed_out: int
    writes_timed_out: int

    direct: "ShortWay | None"

    def gate_of(self, data: bytes) -> Gate | None: ...

    def ended(self, connection: "Connection") -> None: ...


class Connection(web.RequestHandler):
    """`sweep` is called now and then: no timer is set or cancelled for a request."""

    __slots__ = (
        "_direct",
        "_framing",
        "_gate",
        "_head_bytes",
        "_head_since",
        "_heads",
        "_limits",
        "_once",
        "_refused_at",
        "_stalled_since",
        "_unsent_bytes",
        "_wire",
        "opened_at",
        "shed",
    )

    def __init__(self, manager: web.Server, limits: Limits, *, once: bool = False, **options: Any) -> None:
        super().__init__(manager, **options)
        self.opened_at = self._head_since = time.monotonic()
        self._limits = limits
        self.shed = False  # the request that is being parsed is to be refused
        self._gate: Gate | None = None  # to leave with the answer
        self._direct = False  # a request is being answered without aiohttp
        self._framing = Framing(limits.head_max_bytes)
        self._once = once  # the connection ends with its first answer
        self._wire: asyncio.Transport | None = None
        self._heads = 0  # requests whose heads have come whole
        self._head_bytes = 0  # of a head that has not
        self._refused_at = 0.0
        self._unsent_bytes = 0
        self._stalled_since = 0.0

    @property
    def idle(self) -> bool:
        """Whether it waits for a request."""
        return not self._direct and self._waiter is not None and not self._waiter.done()

    @property
    def _between_requests(self) -> bool:
        """The same, also before the connection's task has begun: uvloop may bring the first bytes earlier."""
        return self.idle or not self._heads

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._limits.ended(self)
        # A handler works on though its client has gone, and counts until it has ended.
        if self._task_handler is not None and not self._direct:
            self._task_handler.add_done_callback(lambda _: self._leave())
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused_at:
            return
        if not self._head_bytes and self._between_requests and (self._turned_away(data) or self._taken(data)):
            return
        self._framing.feed(data)
        if self._direct:
            self._received_meanwhile(data)
        else:
            super().data_received(data)
        if self._request_count != self._heads:
            self._heads = self._request_count
            self._head_since = 0.0
            self._head_bytes = 0
        elif data and self._between_requests:
            self._part_of_a_head(len(data))

    def begin(self) -> None:
        """The request that came last is answered by `answer`: aiohttp has not seen it."""
        self._request_count += 1
        self._heads = self._request_count
        self._head_since = 0.0
        self._direct = self._request_in_progress = True
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def answer(self, head: bytes, body: bytes) -> None:
        """`head` is one of `api.http.heads.head_of`."""
        self._direct = self._request_in_progress = False
        self._leave()
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self._wire is None or self.transport is None:  # the client has gone
            return
        closes = self._limits.closing
        self._wire.write(whole(head, body, closes=closes))
        if closes:
            self.force_close()
        else:
            self._wake_task()  # for what came meanwhile

    def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        self._leave()
        # From before the middleware: an unknown Expect. isinstance alone takes 0.2 µs: these are ABCs.
        if type(resp) is not web.Response and isinstance(resp, web.HTTPException):
            resp = translated(resp).response()
        if self._limits.closing or self._once:
            resp.force_close()
        return super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A request that can't be parsed, as a problem document and not as an error in our log."""
        if isinstance(exc, ConnectionError):
            log.debug("%s went away while it was sending", request.remote)
            problem = ProblemError(errors.BAD_REQUEST, "The request broke off.", headers=_CLOSE)
        elif isinstance(exc, UnicodeEncodeError) and "Expect" in request.headers:
            # aiohttp fails over its own words for an Expect that is not UTF-8.
            problem = ProblemError(errors.EXPECTATION_FAILED, _NO_EXPECT, headers=_CLOSE)
        elif status != errors.BAD_REQUEST.status:
            super().handle_error(request, status, exc, message)  # for the log
            problem = errors.unforeseen(headers=_CLOSE)
        elif isinstance(exc, LineTooLong) or _TOO_MANY_FIELDS in (message or ""):
            problem = ProblemError(errors.HEAD_TOO_LARGE, _SMALLER_HEAD, headers=_CLOSE)
        else:
            log.debug("%s sent what is no request: %s", request.remote, message)
            why = (
                (message or "").partition("\n")[0].strip(" :")[:_WHY_MAX_CHARACTERS]
            )  # then comes what was sent
            detail = f"This is not HTTP/1.1 (RFC 9112): {why}" if why else "This is not HTTP/1.1 (RFC 9112)."
            problem = ProblemError(errors.BAD_REQUEST, detail, headers=_CLOSE)
        response = problem.response()
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What only the client can have caused is no error of ours: it could fill the log."""
        if isinstance(kw.get("exc_info"), (web.RequestPayloadError, ConnectionError)):
            log.debug(*args, **kw)
        else:
            super().log_exception(*args, **kw)

    def sweep(self, now: float) -> None:
        """End what takes too long. `now` in seconds of the monotonic clock."""
        limits = self._limits
        if self._wire is None:  # about to be made
            return
        if self._refused_at:
            if now - self._refused_at > LINGER_SECONDS:
                self._wire.abort()
        elif self._head_since and now - self._head_since > limits.head_timeout_seconds:
            limits.heads_timed_out += 1
            if self._head_bytes:
                self._refuse(_HEAD_TIMEOUT)
            else:
                self.force_close()
        else:
            self._sweep_unsent(now, self._wire)

    def _sweep_unsent(self, now: float, wire: asyncio.Transport) -> None:
        unsent = wire.get_write_buffer_size()
        if unsent != self._unsent_bytes:  # a slow client that reads is not at fault
            self._unsent_bytes = unsent
            self._stalled_since = now
        elif unsent and now - self._stalled_since > self._limits.write_timeout_seconds:
            self._limits.writes_timed_out += 1
            wire.abort()

    def _received_meanwhile(self, data: bytes) -> None:
        """Aiohttp's task sleeps on until the answer that is due has gone."""
        waiter, self._waiter = self._waiter, None
        super().data_received(data)
        self._waiter = waiter

    def _taken(self, data: bytes) -> bool:
        direct = self._limits.direct
        if direct is None or self._gate is None or not self.idle or not self._framing.at_start:
            return False
        return not self._once and not self.writing_paused and direct.take(self, data)

    def _wake_task(self) -> None:
        if self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _turned_away(self, data: bytes) -> bool:
        """Whether what begins here is refused already. What comes in parts is for `sheltered` to refuse."""
        gate = self._limits.gate_of(data)
        if gate is None:
            return False
        if gate.enter(self):
            self._gate = gate
            return False
        # A client that does not read must not make us keep refusals for it: a handler's answer has to wait.
        if not self._framing.at_start or not is_whole_request(data) or self.writing_paused:
            self.shed = True
            return False
        assert self._wire is not None
        self._head_since = 0.0
        # As after any answer; aiohttp has not seen this one.
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._limits.closing or wants_close(data):
            self._refuse(_OVERLOADED_LAST)
        else:
            self._wire.write(_OVERLOADED)
        return True

    def _leave(self) -> None:
        self.shed = False
        if self._gate is not None:
            self._gate.leave(self)
            self._gate = None

    def _part_of_a_head(self, size: int) -> None:
        if not self._head_since:
            self._head_since = time.monotonic()
        self._head_bytes += size
        if self._head_bytes > self._limits.head_max_bytes:
            self._refuse(_HEAD_TOO_LARGE)

    def _refuse(self, answer: bytes) -> None:
        """Answer, then drop what still comes: closing at once would reset the connection."""
        assert self._wire is not None
        self._refused_at = time.monotonic()
        self._wire.write(answer)
        self._wire.write_eof()


_CLOSE = {"Connection": "close"}
_NO_EXPECT = f"{errors.EXPECTATION_FAILED.title}."
_SMALLER_HEAD = "The request line or the header fields are too long, or too many: send less."
_HEAD_TIMEOUT = ready_made(
    errors.REQUEST_TIMEOUT, "The request's head did not arrive in time. Send it again, whole."
)
_HEAD_TOO_LARGE = ready_made(errors.HEAD_TOO_LARGE, _SMALLER_HEAD)
_NOTHING_DONE = "Nothing was done. Send it again after the time in Retry-After."
_OVERLOADED = ready_made(errors.OVERLOADED, _NOTHING_DONE, retry_after_seconds=1, closes=False)
_OVERLOADED_LAST = ready_made(errors.OVERLOADED, _NOTHING_DONE, retry_after_seconds=1)
