"""Impressions of campaigns with a hard budget: each spends its unit before it may count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from api.budgets.ledger import Use
from api.budgets.uses import UsesUnavailableError
from api.errors import RESERVATION_EXPIRED, UNAVAILABLE, Code, busy
from api.http.delivery import Delivery
from api.tokens import PopupToken
from buffer.contract import KIND_IMPRESSION

_LAPSED: Final = "the popup's expires_at has passed, and its share of the budget has gone to others"
_FROM_BEFORE: Final = "the popup was served before the campaign's budget became hard"


@dataclass(frozen=True, slots=True)
class Rejected(Exception):  # noqa: N818  (it is one, not an error of the request)
    """One event that can't be accepted; the others of its request can."""

    code: Code
    detail: str


class Event(NamedTuple):
    """One event of a request that may be stored. A test's is not."""

    place: int  # in the request
    token: PopupToken
    kind: int
    occurred_at_us: int
    late: bool
    test: bool

    @property
    def needs_unit(self) -> bool:
        """An impression of a reserved popup; what is done with the popup then costs nothing."""
        return self.token.reserved and self.kind == KIND_IMPRESSION


def refuse_unreserved(delivery: Delivery, token: PopupToken) -> None:
    """Raises Rejected for a popup that nothing was set aside for, of a budget that is hard now."""
    if not token.reserved and token.campaign_id in delivery.reader.catalog.hard_budget_ids:
        raise Rejected(RESERVATION_EXPIRED, _FROM_BEFORE)


def shown_by_us(token: PopupToken) -> int:
    """The last instant at which a reserved popup may be shown: within the day that its unit is of."""
    return (token.show_by + 1) * 1_000_000 - 1


async def spend_units(
    delivery: Delivery, events: Sequence[Event], *, now_us: int, deadline: float
) -> dict[int, Rejected]:
    """Spend the units of those that are reserved; returns those that can't, by index.

    Raises ProblemError (503) when it can't be told.
    """
    uses = {event.place: _use(event.token, now_us) for event in events if event.needs_unit}
    try:
        spent = await delivery.uses.spend(list(uses.values()), deadline=deadline)
    except UsesUnavailableError as error:
        raise busy(
            UNAVAILABLE, "The budget can't be checked now. Nothing was stored: send it again."
        ) from error
    lapsed = Rejected(RESERVATION_EXPIRED, _LAPSED)
    return {index: lapsed for index, use in uses.items() if use.impression_id not in spent}


def _use(token: PopupToken, now_us: int) -> Use:
    in_time = now_us <= shown_by_us(token)
    return Use(UUID(bytes=token.impression_id), token.lease_id, token.campaign_id, in_time)
