"""How times and lengths of time are written in the documents, and what has happened to a user."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

Document = Mapping[str, Any]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Event:
    """`times` of them at one moment.

    Kinds: impression, click, dismiss, convert; ghost, ghost_convert; served.
    """

    campaign: int
    kind: str
    at: datetime
    session: str | None = None
    times: int = 1


def instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def length(text: str) -> timedelta:
    """ "90s", "30m", "24h", "7d"."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def zone_of(text: str) -> tzinfo:
    """ "Asia/Jakarta", "+07:00", "GMT+07:00" or "UTC+07:00"."""
    offset = text.removeprefix("GMT").removeprefix("UTC")
    if offset[:1] not in ("+", "-"):
        return ZoneInfo(text)
    minutes = int(offset[1:3]) * 60 + int(offset[4:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def events_of(documents: Iterable[Document]) -> list[Event]:
    return [Event(**{**document, "at": moment(document["at"])}) for document in documents]
