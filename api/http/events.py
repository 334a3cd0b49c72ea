"""`POST /v1/impressions` and `/v1/interactions`: token → pending list → COPY → 202, with no database look-up.

202 means committed in the buffer table, and remembered here until it is merged. Impressions of popups that a
unit of a hard budget was reserved for spend it first, on the primary: `api.http.reserved`.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from pydantic_core import from_json

from api import errors
from api.access.identity import USER
from api.config import ApiConfig
from api.errors import ProblemError, busy
from api.http import kinds
from api.http.acceptance import accept
from api.http.delivery import DELIVERY, Delivery
from api.http.encoding import inflated, is_gzip, too_large
from api.http.kinds import KindOf
from api.http.marks import append
from api.http.reserved import Event, Rejected, spend_units
from buffer.contract import KIND_IMPRESSION
from buffer.flusher import AckTimeoutError
from buffer.record import event_key

EVENTS_MAX: Final = 100
_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_ONE_ACCEPTED: Final = b'{"accepted":1,"rejected":[]}'


async def post_impressions(request: web.Request) -> web.Response:
    return await _post(request, "impressions", kinds.impression)


async def post_interactions(request: web.Request) -> web.Response:
    return await _post(request, "interactions", kinds.interaction)


async def _post(request: web.Request, plural: str, kind_of: KindOf) -> web.Response:
    delivery = request.app[DELIVERY]
    now_ns = time.time_ns()
    user_id = request[USER]
    documents = events_in(await _body(request, delivery.config), plural)
    deadline = asyncio.get_running_loop().time() + delivery.config.ack_timeout_seconds
    rejected: dict[int, Rejected] = {}
    accepted: list[Event] = []
    for place, document in enumerate(documents):
        try:
            accepted.append(
                accept(delivery, document, kind_of, user_id=user_id, now_us=now_ns // 1000, place=place)
            )
        except Rejected as error:
            rejected[place] = error
    counting = [event for event in accepted if not event.test]
    if any(event.needs_unit for event in counting):
        _check_room(delivery, counting)
        refused = await spend_units(delivery, counting, now_us=now_ns // 1000, deadline=deadline)
        rejected |= refused
        counting = [event for event in counting if event.place not in refused]
    await _store(delivery, counting, deadline)
    delivery.accepted += len(documents) - len(rejected)
    delivery.refused += len(rejected)
    delivery.of_tests += sum(event.test for event in accepted)
    return _answer(len(documents), rejected)


def _answer(sent: int, rejected: Mapping[int, Rejected]) -> web.Response:
    if sent > 1:
        return _answer_to_many(sent - len(rejected), rejected)
    if rejected:
        raise ProblemError(rejected[0].code, rejected[0].detail)
    return web.Response(body=_ONE_ACCEPTED, status=202, headers=_HEADERS)


def _answer_to_many(accepted: int, rejected: Mapping[int, Rejected]) -> web.Response:
    errors_ = [
        {"index": index, "code": error.code.code, "detail": error.detail}
        for index, error in sorted(rejected.items())
    ]
    body = json.dumps({"accepted": accepted, "rejected": errors_}).encode()
    return web.Response(body=body, status=202, headers=_HEADERS)


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


async def _body(request: web.Request, config: ApiConfig) -> bytes:
    """Nearly always it has arrived with the head; a slow one may not hold the worker's memory for ever."""
    gzipped = is_gzip(request)
    if request.content.is_eof():
        body = await request.read()
    else:
        body = await _slow_body(request, config)
    return inflated(body, max_bytes=config.body_max_bytes) if gzipped else body


async def _slow_body(request: web.Request, config: ApiConfig) -> bytes:
    if (request.content_length or 0) > config.body_max_bytes:  # before the client sends it all for nothing
        raise too_large(config.body_max_bytes)
    try:
        async with asyncio.timeout(config.body_timeout_seconds):
            return await request.read()
    except TimeoutError as error:
        detail = f"The body did not arrive within {config.body_timeout_seconds:g} s. Send it again."
        raise ProblemError(errors.REQUEST_TIMEOUT, detail) from error


def _check_room(delivery: Delivery, events: Sequence[Event]) -> None:
    """Raises ProblemError (503) unless the pending list can take them all."""
    keys = {event_key(event.token.impression_id, event.kind) for event in events}
    if not delivery.pending.room_for(keys):
        raise busy(errors.BUFFER_FULL, "Nothing was stored. Send it again after the time in Retry-After.")


async def _store(delivery: Delivery, events: Sequence[Event], deadline: float) -> None:
    """Queue the events together and wait until they are committed. Raises ProblemError (503)."""
    _check_room(delivery, events)
    last = 0
    for event in events:
        token = event.token
        seq = append(
            delivery,
            user_id=token.user_id,
            campaign_id=token.campaign_id,
            variant=token.variant,
            kind=event.kind,
            impression_id=token.impression_id,
            occurred_at_us=event.occurred_at_us,
            session=token.session if event.kind == KIND_IMPRESSION else 0,
            late=event.late,
        )
        last = max(last, seq)
    if last > delivery.pending.acked_through:
        delivery.flusher.wake()
        try:
            await delivery.flusher.acknowledged(last, deadline=deadline)
        except AckTimeoutError as error:
            detail = "It is kept and stored as soon as the database answers; sending it again is harmless."
            raise busy(errors.ACK_TIMEOUT, detail) from error
