"""The events of one POST: token → pending list → COPY → 202, with no database look-up.

202 means committed in the buffer table, and remembered here until it is merged. Impressions of popups that a
unit of a hard budget was reserved for spend it first, on the primary: `api.http.reserved`.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from api import errors
from api.errors import ProblemError, busy
from api.http import kinds
from api.http.acceptance import accept
from api.http.delivery import Delivery
from api.http.kinds import KindOf
from api.http.marks import append
from api.http.reserved import Event, Rejected, spend_units
from buffer.contract import KIND_IMPRESSION
from buffer.flusher import AckTimeoutError
from buffer.record import event_key

EVENTS_MAX: Final = 100
_ONE_ACCEPTED: Final = b'{"accepted":1,"rejected":[]}'


class Sort(NamedTuple):
    """What an endpoint takes: how a body calls several of them, and which kind of event each is."""

    plural: str
    kind_of: KindOf


IMPRESSIONS: Final = Sort("impressions", kinds.impression)
INTERACTIONS: Final = Sort("interactions", kinds.interaction)


class Submission:
    """In this order: `spend_units` if there are such, `store`, wait for its seq, `answer`."""

    def __init__(self, delivery: Delivery, user_id: str, body: bytes, sort: Sort, *, now_us: int) -> None:
        """Raises ProblemError (400, 413)."""
        self._delivery = delivery
        self._now_us = now_us
        self._deadline = asyncio.get_running_loop().time() + delivery.config.ack_timeout_seconds
        self._documents = events_in(body, sort.plural)
        self._rejected: dict[int, Rejected] = {}
        self._tests = 0
        self._counting: list[Event] = []
        for place, document in enumerate(self._documents):
            try:
                event = accept(delivery, document, sort.kind_of, user_id=user_id, now_us=now_us, place=place)
            except Rejected as error:
                self._rejected[place] = error
                continue
            if event.test:
                self._tests += 1
            else:
                self._counting.append(event)

    @property
    def needs_units(self) -> bool:
        return any(event.needs_unit for event in self._counting)

    async def spend_units(self) -> None:
        """Raises ProblemError (503), with nothing spent or stored."""
        if not self.needs_units:
            return
        self._check_room()
        refused = await spend_units(
            self._delivery, self._counting, now_us=self._now_us, deadline=self._deadline
        )
        self._rejected |= refused
        self._counting = [event for event in self._counting if event.place not in refused]

    def store(self) -> int:
        """Queue the events together; the seq to wait for, or 0. Raises ProblemError (503)."""
        self._check_room()
        last = 0
        for event in self._counting:
            last = max(last, self._append(event))
        if last <= self._delivery.pending.acked_through:
            return 0
        return last

    def acknowledgement(self, seq: int) -> asyncio.Future[None]:
        """Done when `seq` is committed. Its AckTimeoutError is to become a problem: `in_time`."""
        return self._delivery.flusher.acknowledgement(seq, self._deadline)

    def answer(self) -> bytes:
        """Counts what was accepted. Raises ProblemError if the only event was refused."""
        delivery, sent, refused = self._delivery, len(self._documents), len(self._rejected)
        delivery.accepted += sent - refused
        delivery.refused += refused
        delivery.of_tests += self._tests
        if sent > 1:
            return self._answer_to_many(sent - refused)
        if refused:
            only = self._rejected[0]
            raise ProblemError(only.code, only.detail)
        return _ONE_ACCEPTED

    def _answer_to_many(self, accepted: int) -> bytes:
        rejected = [
            {"index": index, "code": error.code.code, "detail": error.detail}
            for index, error in sorted(self._rejected.items())
        ]
        return json.dumps({"accepted": accepted, "rejected": rejected}).encode()

    def _append(self, event: Event) -> int:
        token = event.token
        return append(
            self._delivery,
            user_id=token.user_id,
            campaign_id=token.campaign_id,
            variant=token.variant,
            kind=event.kind,
            impression_id=token.impression_id,
            occurred_at_us=event.occurred_at_us,
            session=token.session if event.kind == KIND_IMPRESSION else 0,
            late=event.late,
        )

    def _check_room(self) -> None:
        """Raises ProblemError (503) unless the pending list can take them all."""
        keys = {event_key(event.token.impression_id, event.kind) for event in self._counting}
        if not self._delivery.pending.room_for(keys):
            raise busy(errors.BUFFER_FULL, "Nothing was stored. Send it again after the time in Retry-After.")


@contextmanager
def in_time() -> Iterator[None]:
    """Around the wait for an acknowledgement. Raises ProblemError (503) if it took too long."""
    try:
        yield
    except AckTimeoutError as error:
        detail = "It is kept and stored as soon as the database answers; sending it again is harmless."
        raise busy(errors.ACK_TIMEOUT, detail) from error


def events_in(body: bytes, plural: str) -> Sequence[Any]:
    """The events of a body: the document is one, or has a list of them under `plural`.

    Raises ProblemError.
    """
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ProblemError(errors.BAD_JSON, f"The body is not JSON: {error}"[:300]) from error
    if not isinstance(document, dict):
        raise ProblemError(errors.BAD_REQUEST, f'Send {{"token": "…"}} or {{"{plural}": […]}}.')
    if plural not in document:
        return (document,)
    events = document[plural]
    if not isinstance(events, list) or not events:
        raise ProblemError(errors.BAD_REQUEST, f"{plural} must be a list with at least one event.")
    if len(events) > EVENTS_MAX:
        raise ProblemError(
            errors.TOO_LARGE, f"{plural} holds {len(events)} events: send at most {EVENTS_MAX}."
        )
    return events
