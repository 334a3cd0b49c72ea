"""The short way of what apps ask most: answered without aiohttp's parser, tasks and objects.

They took longer than all that is ours (docs/decisions/0032-the-short-way.md, 0041-read-from-bytes.md).

Only ordinary requests take it. Whatever is unusual (an API key, a preview, a body in parts, the last request
of a connection) goes the usual way, and is answered the same.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from api import errors
from api.access.guard import is_key, user_of
from api.access.table import TABLE
from api.errors import ProblemError
from api.http import events, popups
from api.http.connection import Connection
from api.http.context import Query
from api.http.delivery import Delivery
from api.http.events import stored
from api.http.framing import ordinary
from api.http.heads import fields_of, head_of
from api.http.submission import IMPRESSIONS, INTERACTIONS, Sort, Submission, in_time
from api.read.reader import View

log = logging.getLogger("tayang.http")

_POPUPS: Final = head_of(200, popups.HEADERS)
_EVENTS: Final = head_of(events.STATUS, events.HEADERS)


class Ask(NamedTuple):
    """One request on this way. `told`: fields for an answer that goes well."""

    connection: Connection
    body: bytes
    user_id: str
    raw_query: str
    told: bytes


#: Answers now or later, or raises.
_Handler = Callable[[Ask], None]


class DirectAnswers:
    """Of one process. `taken` counts the requests that took this way."""

    def __init__(self, delivery: Delivery) -> None:
        self.taken = 0
        self._delivery = delivery
        config = delivery.config
        self._body_max_bytes = config.body_max_bytes
        self._head_max_bytes = min(config.head_max_bytes, config.head_line_max_bytes)
        self._max_fields = config.head_max_fields
        self._handlers: dict[bytes, _Handler] = {
            b"GET /v1/popups": self._popups,
            b"POST /v1/impressions": partial(self._events, IMPRESSIONS),
            b"POST /v1/interactions": partial(self._events, INTERACTIONS),
        }
        # The only right that is looked at here is the one of users.
        assert all(TABLE[endpoint.decode()].users for endpoint in self._handlers)
        self._tasks: set[asyncio.Task[bytes]] = set()

    def take(self, connection: Connection, data: bytes) -> bool:
        """Whether the request goes this way: then the connection gets its answer, perhaps at once."""
        request = ordinary(
            data, self._handlers, head_max_bytes=self._head_max_bytes, max_fields=self._max_fields
        )
        if request is None or len(request.body) > self._body_max_bytes:
            return False
        endpoint, query, authorization, body = request
        if authorization is None or is_key(authorization) or "preview=" in query:
            return False
        self.taken += 1
        connection.begin()
        try:
            user_id, told = user_of(self._delivery, authorization, query)
            self._handlers[endpoint](Ask(connection, body, user_id, query, fields_of(told) if told else b""))
        except Exception as error:  # noqa: BLE001  (as in `_finish`)
            self._failed(connection, error)
        return True

    def _popups(self, ask: Ask) -> None:
        query = self._delivery.context_of(ask.raw_query)
        self._delivery.reader.asked(ask.user_id).add_done_callback(partial(self._read, ask, query))

    def _read(self, ask: Ask, query: Query, view: asyncio.Future[View]) -> None:
        self._finish(ask, _POPUPS, lambda: popups.answer(self._delivery, ask.user_id, query, view.result()))

    def _events(self, sort: Sort, ask: Ask) -> None:
        now_us = time.time_ns() // 1000
        submission = Submission(self._delivery, ask.user_id, ask.body, sort, now_us=now_us)
        if submission.needs_units:
            self._wait_for(ask, submission)
        elif seq := submission.store():
            submission.acknowledgement(seq).add_done_callback(partial(self._acknowledged, ask, submission))
        else:
            self._finish(ask, _EVENTS, submission.answer)

    def _acknowledged(self, ask: Ask, submission: Submission, done: asyncio.Future[None]) -> None:
        self._finish(ask, _EVENTS, lambda: _confirmed(submission, done))

    def _wait_for(self, ask: Ask, submission: Submission) -> None:
        """The primary has to be asked first."""
        task = asyncio.get_running_loop().create_task(stored(submission))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda task: self._finish(ask, _EVENTS, task.result))

    def _finish(self, ask: Ask, head: bytes, body_of: Callable[[], bytes]) -> None:
        try:
            body = body_of()
        except Exception as error:  # noqa: BLE001  (whatever it is, the request has to end)
            self._failed(ask.connection, error)
        else:
            ask.connection.answer(head + ask.told if ask.told else head, body)

    def _failed(self, connection: Connection, error: Exception) -> None:
        if not isinstance(error, ProblemError):
            log.error("a request failed", exc_info=error)
            error = errors.unforeseen()
        response = error.response()
        assert isinstance(response.body, bytes)
        connection.answer(head_of(response.status, response.headers), response.body)


def _confirmed(submission: Submission, done: asyncio.Future[None]) -> bytes:
    with in_time():
        done.result()
    return submission.answer()
