"""A user's counts as `snapshot.sql` sends them: indexed at once, decoded campaign by campaign on demand.

A user has seen many campaigns, and a request looks at few of them.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from struct import Struct
from typing import Final

from api.campaigns.history import NEVER_US, History, Seen
from buffer.contract import RECENT_MAX_TIMES
from buffer.record import POSTGRES_EPOCH_US

# The id; the total, whose highest byte tells what follows; then array_send: dimensions, has-null flag,
# element type and, unless the array is empty, its length and lower bound; for each element size and value.
_HEAD: Final = Struct("!iB7xi8xi")  # id, what follows, dimensions, length
_TOTAL: Final = Struct("!4xq")
_TOTAL_MASK: Final = 2**56 - 1
_TIMES_AT: Final = 4 + 8 + 20
_EMPTY_BYTES: Final = 4 + 8 + 12
_NEWEST: Final = Struct(f"!{_TIMES_AT + 4}xq")
_TIME_BYTES: Final = 12
#: The head reads so far beyond a campaign without times, which may be the last one.
_PADDING: Final = bytes(_HEAD.size - _EMPTY_BYTES)

_INTERACTIONS: Final = 1
_SESSIONS: Final = 2
_INTERACTED: Final = Struct("!20x" + "4xi" * 3 + "20x" + "4xq" * 3)
_LENGTH: Final = Struct("!12xi4x")
_SESSION_BYTES: Final = 8
_MINUS_INFINITY: Final = -(2**63)


class StoredHistory(History):
    """`blob` is one user's `counts`."""

    __slots__ = ("_blob", "_places")

    def __init__(self, blob: bytes, listed: Collection[int]) -> None:
        super().__init__({}, listed)
        self._blob = blob + _PADDING
        self._places = _places(self._blob, len(blob))

    def of(self, campaign_id: int) -> Seen | None:
        seen = self._seen.get(campaign_id)
        if seen is None and campaign_id in self._places:
            seen = self._seen[campaign_id] = _seen(self._blob, self._places[campaign_id])
        return seen

    def ids(self) -> Iterable[int]:
        added = self._seen.keys() - self._places.keys()
        return [*self._places, *added] if added else self._places.keys()

    def newest_us(self, campaign_id: int) -> int:
        if campaign_id in self._seen or campaign_id not in self._places:
            return super().newest_us(campaign_id)
        at = self._places[campaign_id]
        _, _, dimensions, _ = _HEAD.unpack_from(self._blob, at)
        if not dimensions:
            return NEVER_US
        (newest,) = _NEWEST.unpack_from(self._blob, at)
        return int(newest) + POSTGRES_EPOCH_US

    def kept(self, campaign_id: int) -> int:
        if campaign_id in self._seen or campaign_id not in self._places:
            return super().kept(campaign_id)
        _, _, dimensions, length = _HEAD.unpack_from(self._blob, self._places[campaign_id])
        return int(length) if dimensions else 0


def _places(blob: bytes, end: int) -> dict[int, int]:
    """By campaign id: where it begins."""
    places = {}
    at = 0
    head = _HEAD.unpack_from
    while at < end:
        campaign_id, flags, dimensions, length = head(blob, at)
        places[campaign_id] = at
        at += _TIMES_AT + length * _TIME_BYTES if dimensions else _EMPTY_BYTES
        if flags & _INTERACTIONS:
            at += _INTERACTED.size
        if flags & _SESSIONS:
            at += _LENGTH.size + _LENGTH.unpack_from(blob, at)[0] * _SESSION_BYTES
    return places


def _seen(blob: bytes, at: int) -> Seen:
    _, flags, dimensions, length = _HEAD.unpack_from(blob, at)
    (total,) = _TOTAL.unpack_from(blob, at)
    seen = Seen(total & _TOTAL_MASK)
    if dimensions:
        at += _TIMES_AT
        seen.recent_us = [time + POSTGRES_EPOCH_US for time in _times(length).unpack_from(blob, at)]
        at += length * _TIME_BYTES
    else:
        at += _EMPTY_BYTES
    if flags & _INTERACTIONS:
        clicks, dismissals, conversions, *last = _INTERACTED.unpack_from(blob, at)
        click_us, dismiss_us, convert_us = map(_since_1970_us, last)
        seen.interactions = (clicks, dismissals, conversions)
        seen.last_us = (click_us, dismiss_us, convert_us)
        at += _INTERACTED.size
    if flags & _SESSIONS:
        (length,) = _LENGTH.unpack_from(blob, at)
        seen.sessions = list(_sessions(length).unpack_from(blob, at + _LENGTH.size))
    return seen


def _since_1970_us(time: int) -> int:
    return NEVER_US if time == _MINUS_INFINITY else time + POSTGRES_EPOCH_US


@lru_cache(maxsize=RECENT_MAX_TIMES + 1)
def _times(length: int) -> Struct:
    """So many times, without their sizes."""
    return Struct("!" + "4xq" * length)


@lru_cache(maxsize=RECENT_MAX_TIMES + 1)
def _sessions(length: int) -> Struct:
    return Struct("!" + "4xi" * length)
