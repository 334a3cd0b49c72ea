"""`POST /v1/impressions`: token → pending list → COPY → 202, with no database look-up.

202 means committed in the buffer table, and remembered here until it is merged. Popups that a unit of a
hard budget was reserved for spend it first, on the primary: `api.http.reserved`.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from pydantic_core import from_json

from api import errors
from api.campaigns.budget import SoftBudget
from api.campaigns.windows import to_us
from api.errors import ProblemError, busy
from api.http.delivery import DELIVERY, Delivery
from api.http.reserved import Event, Rejected, refuse_unreserved, shown_by_us, spend_units
from api.tokens import TokenForgedError, TokenMalformedError
from buffer.contract import KIND_IMPRESSION
from buffer.flusher import AckTimeoutError
from buffer.record import event_key

EVENTS_MAX: Final = 100
_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_ONE_ACCEPTED: Final = b'{"accepted":1,"rejected":[]}'


async def post_impressions(request: web.Request) -> web.Response:
    delivery = request.app[DELIVERY]
    now_ns = time.time_ns()
    user_id = delivery.users.user_id(request.headers.get("Authorization"), now_ns / 1e9)
    documents = events_in(await _body(request, delivery.config.body_timeout_seconds), "impressions")
    deadline = asyncio.get_running_loop().time() + delivery.config.ack_timeout_seconds
    rejected: dict[int, Rejected] = {}
    events: list[Event] = []
    for index, document in enumerate(documents):
        try:
            events.append(_accept(delivery, document, user_id, now_ns // 1000, index))
        except Rejected as error:
            rejected[index] = error
    if any(event.token.reserved for event in events):
        _check_room(delivery, events)
        refused = await spend_units(delivery, events, now_us=now_ns // 1000, deadline=deadline)
        rejected |= refused
        events = [event for event in events if event.place not in refused]
    await _store(delivery, events, deadline)
    delivery.accepted += len(events)
    delivery.refused += len(rejected)
    if len(documents) > 1:
        return _answer_to_many(len(events), rejected)
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
        document = from_json(body)
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


async def _body(request: web.Request, timeout_seconds: float) -> bytes:
    """Nearly always it has arrived with the head; a slow one may not hold the worker's memory for ever."""
    if request.content.is_eof():
        return await request.read()
    try:
        async with asyncio.timeout(timeout_seconds):
            return await request.read()
    except TimeoutError as error:
        detail = f"The body did not arrive within {timeout_seconds:g} s. Send it again."
        raise ProblemError(errors.REQUEST_TIMEOUT, detail) from error


def _accept(delivery: Delivery, document: Any, user_id: str, now_us: int, index: int) -> Event:
    """Raises Rejected."""
    if not isinstance(document, dict) or not isinstance(document.get("token"), str):
        raise Rejected(
            errors.TOKEN_MALFORMED, "token is missing or no text: send it as GET /v1/popups gave it"
        )
    try:
        token = delivery.signer.verify(document["token"])
    except TokenMalformedError as error:
        raise Rejected(errors.TOKEN_MALFORMED, str(error)) from error
    except TokenForgedError as error:
        raise Rejected(errors.TOKEN_FORGED, str(error)) from error
    if token.user_id != user_id:
        raise Rejected(errors.TOKEN_FOREIGN, "the token was issued to another user than the JWT's")
    served_us = token.served_ms * 1000
    within = delivery.config.accept_within_seconds
    if now_us > served_us + within * 1_000_000:
        raise Rejected(errors.TOKEN_EXPIRED, f"the popup was served over {within} seconds ago")
    refuse_unreserved(delivery, token)
    occurred_at = document.get("occurred_at")
    # A phone's clock can't move a cap: between serving and now.
    told_us = now_us if occurred_at is None else min(_instant_us(occurred_at), now_us)
    if token.reserved:
        told_us = min(told_us, shown_by_us(token))
    return Event(index, token, max(served_us, told_us))


def _instant_us(text: Any) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Rejected(
            errors.BAD_REQUEST, "occurred_at must be a time such as 2026-11-23T10:00:00Z"
        ) from error
    if moment.tzinfo is None:
        raise Rejected(errors.BAD_REQUEST, "occurred_at needs an offset, such as Z or +07:00")
    return to_us(moment)


def _check_room(delivery: Delivery, events: Sequence[Event]) -> None:
    """Raises ProblemError (503) unless the pending list can take them all."""
    keys = {event_key(event.token.impression_id, KIND_IMPRESSION) for event in events}
    if not delivery.pending.room_for(keys):
        raise busy(errors.BUFFER_FULL, "Nothing was stored. Send it again after the time in Retry-After.")


async def _store(delivery: Delivery, events: Sequence[Event], deadline: float) -> None:
    """Queue the events together and wait until they are committed. Raises ProblemError (503)."""
    _check_room(delivery, events)
    last = 0
    newest = delivery.pending.last_seq
    campaigns = delivery.reader.catalog.campaigns
    for _, token, occurred_at_us in events:
        seq = delivery.pending.append(
            impression_id=token.impression_id,
            kind=KIND_IMPRESSION,
            user_id=token.user_id,
            campaign_id=token.campaign_id,
            variant=token.variant,
            occurred_at_us=occurred_at_us,
            session=token.session,
        )
        if seq > newest:  # not a resend
            newest = seq
            campaign = campaigns.get(token.campaign_id)
            if campaign is not None and isinstance(campaign.budget, SoftBudget):
                campaign.budget.add_pending(seq, occurred_at_us)
            delivery.exchange.announce(
                seq=seq,
                impression_id=token.impression_id,
                kind=KIND_IMPRESSION,
                campaign_id=token.campaign_id,
                occurred_at_us=occurred_at_us,
                session=token.session,
                user_id=token.user_id,
            )
        last = max(last, seq)
    if last > delivery.pending.acked_through:
        delivery.flusher.wake()
        try:
            await delivery.flusher.acknowledged(last, deadline=deadline)
        except AckTimeoutError as error:
            detail = "It is kept and stored as soon as the database answers; sending it again is harmless."
            raise busy(errors.ACK_TIMEOUT, detail) from error
