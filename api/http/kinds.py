"""Which kind of event a document tells, by the endpoint that it was sent to and the popup of its token."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from api import errors
from api.http.reserved import Rejected
from api.tokens import PopupToken
from buffer.contract import KIND_CLICK, KIND_CONVERT, KIND_DISMISS, KIND_GHOST_CONVERT, KIND_IMPRESSION

#: Raises Rejected.
KindOf = Callable[[Mapping[str, Any], PopupToken], int]

_INTERACTIONS: Final = {"click": KIND_CLICK, "dismiss": KIND_DISMISS, "convert": KIND_CONVERT}
_HELD_OUT: Final = (
    "the user is held out of the campaign, so its popup isn't shown: send only conversions for this token"
)


def impression(_document: Mapping[str, Any], token: PopupToken) -> int:
    if token.ghost:
        raise Rejected(errors.TOKEN_HELD_OUT, _HELD_OUT)
    return KIND_IMPRESSION


def interaction(document: Mapping[str, Any], token: PopupToken) -> int:
    name = document.get("kind")
    kind = _INTERACTIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Rejected(errors.BAD_REQUEST, "kind must be click, dismiss or convert")
    if not token.ghost:
        return kind
    if kind != KIND_CONVERT:
        raise Rejected(errors.TOKEN_HELD_OUT, _HELD_OUT)
    return KIND_GHOST_CONVERT
