"""One event of a request: may it be stored, as what, and when did it happen?"""

from datetime import datetime
from typing import Any

from api import errors
from api.campaigns.windows import to_us
from api.http.delivery import Delivery
from api.http.kinds import KindOf
from api.http.reserved import Event, Rejected, refuse_unreserved, shown_by_us
from api.tokens import PopupToken, TokenForgedError, TokenMalformedError
from buffer.contract import KIND_IMPRESSION


def accept(
    delivery: Delivery, document: Any, kind_of: KindOf, *, user_id: str, now_us: int, place: int
) -> Event:
    """Raises Rejected."""
    if not isinstance(document, dict) or not isinstance(document.get("token"), str):
        raise Rejected(
            errors.TOKEN_MALFORMED, "token is missing or no text: send it as GET /v1/popups gave it"
        )
    token = _verified(delivery, document["token"], user_id, now_us)
    kind = kind_of(document, token)
    test = token.test or user_id in delivery.reader.catalog.test_users
    latest_us = now_us
    if kind == KIND_IMPRESSION:
        if not test:
            refuse_unreserved(delivery, token)
        if token.reserved:
            latest_us = min(now_us, shown_by_us(token))
    occurred_at = document.get("occurred_at")
    # A phone's clock can't move a cap: between serving and now.
    told_us = latest_us if occurred_at is None else min(_instant_us(occurred_at), latest_us)
    occurred_at_us = max(token.served_ms * 1000, told_us)
    return Event(place, token, kind, occurred_at_us, is_late(delivery, token, now_us), test)


def is_late(delivery: Delivery, token: PopupToken, now_us: int) -> bool:
    """Whether the campaign is over, for all that is known here; its events count all the same."""
    campaign = delivery.reader.catalog.campaigns.get(token.campaign_id)
    if campaign is None:
        # Served after the last read here: then another process knows of a campaign that is new here.
        return (token.served_ms + 1) * 1000 <= delivery.reader.read_at_us
    return campaign.ends_us <= now_us


def _verified(delivery: Delivery, text: str, user_id: str, now_us: int) -> PopupToken:
    try:
        token = delivery.signer.verify(text)
    except TokenMalformedError as error:
        raise Rejected(errors.TOKEN_MALFORMED, str(error)) from error
    except TokenForgedError as error:
        raise Rejected(errors.TOKEN_FORGED, str(error)) from error
    if token.user_id != user_id:
        raise Rejected(errors.TOKEN_FOREIGN, "the token was issued to another user than the JWT's")
    within = delivery.config.accept_within_seconds
    if now_us > token.served_ms * 1000 + within * 1_000_000:
        raise Rejected(errors.TOKEN_EXPIRED, f"the popup was served over {within} seconds ago")
    return token


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
