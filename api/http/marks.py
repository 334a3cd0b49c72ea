"""The way into the pending list: events that apps send, and marks that answers leave of themselves.

Whoever appends an event here has told the other processes of it, too.
"""

import time

from api.campaigns.budget import SoftBudget
from api.http.delivery import Delivery
from api.tokens import served_ms
from buffer.contract import KIND_IMPRESSION
from buffer.pending import PendingFullError


def note(
    delivery: Delivery,
    *,
    user_id: str,
    campaign_id: int,
    variant: str,
    kind: int,
    impression_id: bytes,
    session: int,
    now_us: int,
) -> bool:
    """Append a mark of an answer (KIND_GHOST, KIND_SERVED); nobody waits until it is committed.

    False, and counted, when the list is full: an answer never fails for its marks.
    """
    try:
        append(
            delivery,
            user_id=user_id,
            campaign_id=campaign_id,
            variant=variant,
            kind=kind,
            impression_id=impression_id,
            occurred_at_us=now_us,
            session=session,
        )
    except PendingFullError:
        delivery.marks_left_out += 1
        return False
    delivery.flusher.wake()
    return True


def append(
    delivery: Delivery,
    *,
    user_id: str,
    campaign_id: int,
    variant: str,
    kind: int,
    impression_id: bytes,
    occurred_at_us: int,
    session: int = 0,
    late: bool = False,
) -> int:
    """The seq to wait for, as of `PendingList.append`. Raises PendingFullError."""
    newest = delivery.pending.last_seq
    seq = delivery.pending.append(
        impression_id=impression_id,
        kind=kind,
        user_id=user_id,
        campaign_id=campaign_id,
        variant=variant,
        occurred_at_us=occurred_at_us,
        session=session,
        late=late,
    )
    if seq > newest:  # not a resend
        delivery.late += late
        if kind == KIND_IMPRESSION:
            _spend_softly(
                delivery, campaign_id, seq, occurred_at_us, served_us=served_ms(impression_id) * 1000
            )
        delivery.exchange.announce(
            seq=seq,
            impression_id=impression_id,
            kind=kind,
            campaign_id=campaign_id,
            occurred_at_us=occurred_at_us,
            session=session,
            user_id=user_id,
        )
    return seq


def _spend_softly(
    delivery: Delivery, campaign_id: int, seq: int, occurred_at_us: int, *, served_us: int
) -> None:
    campaign = delivery.reader.catalog.campaigns.get(campaign_id)
    if campaign is not None and isinstance(campaign.budget, SoftBudget):
        campaign.budget.add_pending(seq, occurred_at_us, served_us, time.time_ns() // 1000)
