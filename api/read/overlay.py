"""What an event that is not merged yet adds to its user's history: the same as its merge will."""

from typing import Final, Protocol

from api.campaigns.history import CLICK, CONVERT, DISMISS, History
from buffer.contract import (
    KIND_CLICK,
    KIND_CONVERT,
    KIND_DISMISS,
    KIND_GHOST,
    KIND_GHOST_CONVERT,
    KIND_IMPRESSION,
    KIND_SERVED,
)

_INTERACTIONS: Final = {KIND_CLICK: CLICK, KIND_DISMISS: DISMISS, KIND_CONVERT: CONVERT}


class Event(Protocol):
    """This process's, or one that another process has announced."""

    @property
    def kind(self) -> int: ...
    @property
    def campaign_id(self) -> int: ...
    @property
    def occurred_at_us(self) -> int: ...
    @property
    def session(self) -> int: ...


def add_event(history: History, event: Event) -> None:
    """What happens to a user who is held out counts for minus the campaign's id, as in the merge."""
    kind = event.kind
    if kind == KIND_IMPRESSION:
        history.count(event.campaign_id, event.occurred_at_us, event.session)
    elif kind in _INTERACTIONS:
        history.interact(event.campaign_id, _INTERACTIONS[kind], event.occurred_at_us)
    elif kind == KIND_GHOST:
        history.count(-event.campaign_id, event.occurred_at_us, event.session)
    elif kind == KIND_GHOST_CONVERT:
        history.interact(-event.campaign_id, CONVERT, event.occurred_at_us)
    elif kind == KIND_SERVED:
        history.mark(event.campaign_id)
