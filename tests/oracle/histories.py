"""Random histories: what happened to one user, mostly at the edge of some window."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.oracle.calendars import period_begin
from tests.oracle.documents import length
from tests.oracle.vocabulary import PERIODS, SESSIONS, SPANS

_MICROSECOND: Final = timedelta(microseconds=1)
_REAL: Final = ("impression",) * 8 + ("click", "dismiss", "convert", "served")
_GHOSTS: Final = ("ghost",) * 8 + ("ghost_convert", "served")


def events(random: Random, case: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    policy = case["policy"]
    history = []
    for campaign in case["campaigns"]:
        withheld = campaign["holdout_percent"] or policy["holdout_percent"]
        zone = ZoneInfo(random.choice((campaign["timezone"], policy["timezone"])))
        interacts = campaign["stop_after"] is not None
        for _ in range(random.choice((0, 0, 1, 1, 2, 3, 5))):
            kinds = _GHOSTS if withheld and random.random() < 0.6 else _REAL
            kind = random.choice(("click", "dismiss", "convert")) if interacts else random.choice(kinds)
            if interacts and withheld and random.random() < 0.5:
                kind = "ghost_convert"
            interacts = interacts and random.random() < 0.7
            history.append(_event(random, campaign["id"], kind, _before(random, now, zone)))
    return history


def span_back(random: Random) -> timedelta:
    return length(random.choice(SPANS))


def _event(random: Random, campaign: int, kind: str, at: datetime) -> dict[str, Any]:
    event: dict[str, Any] = {"campaign": campaign, "kind": kind, "at": at.isoformat()}
    if kind in ("impression", "ghost"):
        event["session"] = random.choice((*SESSIONS, None))
        event["times"] = random.choice((1,) * 30 + (3, 63, 64, 65, 70))
    return event


def _before(random: Random, now: datetime, zone: ZoneInfo) -> datetime:
    """A moment in the past: exactly as old as a window, a microsecond off, or anywhere."""
    edge = random.choice((*_edges(random, now, zone), now)) + random.choice((-1, 0, 0, 1)) * _MICROSECOND
    if random.random() < 0.01:
        return now + timedelta(seconds=random.randint(1, 2))  # by the clock of another process
    return min(edge, now)


def _edges(random: Random, now: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    yield now - span_back(random)
    yield period_begin(random.choice(PERIODS), now, zone)
    yield now - timedelta(microseconds=random.randint(0, 40 * 86_400 * 10**6))
    yield now - timedelta(minutes=random.randint(0, 26 * 60))
