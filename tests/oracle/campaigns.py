"""Random campaigns and policies, as the admin API gives them back."""

from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.oracle.documents import Document
from tests.oracle.vocabulary import (
    ATTRIBUTES,
    OPERATORS,
    ORDERS,
    SPANS,
    TAGS,
    VALUES,
    WEEKDAYS,
    WINDOWS,
    ZONES,
)

_TIMES: Final = ("00:00", "00:30", "01:00", "01:30", "02:00", "02:30", "03:00", "08:00", "22:00", "23:30")
_HALF_HOUR: Final = timedelta(minutes=30)


class CampaignMaker:
    """Makes those of one case. Limits are written as 1 here and tuned to the history afterwards."""

    def __init__(self, random: Random, zone: str, now: datetime) -> None:
        self.random = random
        self.zone = zone
        self.now = now

    def campaign(self, number: int) -> dict[str, Any]:
        random = self.random
        zone = self.zone if random.random() < 0.7 else random.choice(ZONES)
        starts_at, ends_at = self._flight()
        schedule = self._schedule(zone) if random.random() < 0.25 else []
        return {
            "id": number,
            "key": f"c{number}",
            "name": f"Campaign {number}",
            "status": random.choice(("live",) * 24 + ("draft", "paused", "archived")),
            "priority": random.choice((10, 10, 10, 20, 100)),
            "placement": "cart" if random.random() < 0.04 else "home",
            "starts_at": starts_at,
            "ends_at": ends_at,
            "timezone": zone,
            "schedule": schedule,
            "schedule_timezone": "user" if random.random() < 0.4 else "campaign",
            "audience": "listed" if random.random() < 0.12 else "everyone",
            "targeting": self._tree(3) if random.random() < 0.2 else None,
            "caps": caps(random, 0.45),
            "cooldown": random.choice(SPANS[1:]) if random.random() < 0.15 else None,
            "stop_after": self._stop_after() if random.random() < 0.25 else None,
            "tags": random.sample(TAGS, random.choice((0, 0, 1, 1, 2, 3))),
            "exempt": random.random() < 0.12,
            "counts_for_policy": random.random() < 0.85,
            "budget": self._budget(starts_at, ends_at) if random.random() < 0.15 else None,
            "holdout_percent": random.choice((0.0,) * 16 + (50.0, 50.0, 100.0, 3.5)),
            "variants": [{"key": "a", "weight": 1, "content": {}}, {"key": "b", "weight": 1, "content": {}}],
        }

    def _flight(self) -> tuple[str | None, str | None]:
        """Around now, sometimes by a microsecond; sometimes on the half hour, as flights are."""
        random = self.random
        starts_at = ends_at = None
        if random.random() < 0.2:
            starts_at = self._near(random.choice((-30, -1, 0, 0, 1)))
        if random.random() < 0.2:
            ends_at = self._near(random.choice((-1, 0, 0, 1, 5)))
        if starts_at is not None and ends_at is not None and ends_at <= starts_at:
            ends_at = starts_at + timedelta(microseconds=1)
        return _written(starts_at), _written(ends_at)

    def _near(self, days: int) -> datetime:
        if days == 0:
            return self.now + timedelta(microseconds=self.random.choice((-1, 0, 1)))
        day = self.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
        return day + self.random.randrange(48) * _HALF_HOUR

    def _schedule(self, zone: str) -> list[dict[str, Any]]:
        wall = self.now.astimezone(ZoneInfo(zone))
        return [self._daypart(wall) for _ in range(self.random.choice((1, 1, 2, 4)))]

    def _daypart(self, wall: datetime) -> dict[str, Any]:
        random = self.random
        days = list(WEEKDAYS)
        if random.random() < 0.6:
            near = (wall.weekday() + random.choice((-1, 0, 0, 1))) % 7
            days = sorted({WEEKDAYS[near], random.choice(WEEKDAYS)}, key=WEEKDAYS.index)
        minute = timedelta(minutes=random.choice((-1, 0, 0, 1)))
        near_now = (wall.replace(tzinfo=None) + minute).strftime("%H:%M")
        edges = [random.choice((*_TIMES, near_now)), random.choice((*_TIMES, near_now, "24:00"))]
        return {"days": days, "from": edges[0], "to": edges[1]}

    def _stop_after(self) -> dict[str, Any]:
        random = self.random
        kinds = random.sample(("click", "dismiss", "convert"), random.choice((1, 1, 2, 3)))
        stops = {kind: random.choice((1, 1, 1, 2, 3)) for kind in kinds}
        return {
            kind: {"count": count, "for": random.choice(SPANS)} if random.random() < 0.6 else count
            for kind, count in stops.items()
        }

    def _budget(self, starts_at: str | None, ends_at: str | None) -> dict[str, Any]:
        random = self.random
        hard = random.random() < 0.2
        limits: dict[str, int | None] = {"total": None, "per_day": None}
        for name in random.choice((["total"], ["per_day"], ["total", "per_day"])):
            limits[name] = random.choice((1, 5, 1000, 100_000))
        has_curve = limits["per_day"] is not None or (starts_at is not None and ends_at is not None)
        even = has_curve and not hard and random.random() < 0.6
        return {**limits, "pacing": "even" if even else "asap", "hard": hard}

    def _tree(self, depth: int) -> dict[str, Any]:
        random = self.random
        shape = random.random() if depth else 1.0
        if shape < 0.2:
            return {"all": [self._tree(depth - 1) for _ in range(random.randint(0, 3))]}
        if shape < 0.4:
            return {"any": [self._tree(depth - 1) for _ in range(random.randint(1, 3))]}
        if shape < 0.55:
            return {"not": self._tree(depth - 1)}
        return self._condition()

    def _condition(self) -> dict[str, Any]:
        random = self.random
        op = random.choice(OPERATORS)
        attribute = random.choice(
            ("app_version", "attr.tier", "attr.age") if op in ORDERS else (*ATTRIBUTES,)
        )
        values = VALUES[attribute]
        if op == "exists":
            return {"attribute": attribute, "op": op, "value": random.random() < 0.6}
        if op in ("in", "not_in"):
            return {"attribute": attribute, "op": op, "value": random.sample(values, random.randint(1, 2))}
        if op == "prefix":
            return {
                "attribute": attribute,
                "op": op,
                "value": random.choice(("5.", "5.2", "g", "id", "1", "a")),
            }
        return {"attribute": attribute, "op": op, "value": random.choice(values)}


def policy(random: Random, zone: str) -> dict[str, Any]:
    """Limits are tuned afterwards, as those of campaigns."""
    limited = random.random() < 0.5
    tags = {}
    for tag in TAGS:
        limits = _limits(random)
        if random.random() < 0.25 and (limits["caps"] or limits["min_gap"] is not None):
            tags[tag] = limits
    return {
        **(_limits(random) if limited else {"caps": [], "min_gap": None}),
        "timezone": zone if random.random() < 0.7 else random.choice(ZONES),
        "tags": tags,
        "holdout_percent": random.choice((0.0,) * 12 + (50.0, 50.0, 100.0)),
    }


def caps(random: Random, probability: float) -> list[dict[str, Any]]:
    if random.random() >= probability:
        return []
    windows = random.sample(WINDOWS, random.choice((1, 1, 1, 2, 3)))
    return [{"window": window, "limit": 1} for window in windows]


def budget_state(random: Random, campaign: Document) -> dict[str, int]:
    """What is spent of it, around the limits; of a hard one, how many units are at hand."""
    budget = campaign["budget"]
    if budget["hard"]:
        return {"units": random.choice((0, 1, 10))}
    near = (-1, -1, 0, 1) if budget["pacing"] == "asap" else (-1, 0)
    limits = {"total": budget["total"] or 10**6, "today": budget["per_day"] or 10**6}
    state = {}
    for name, limit in limits.items():
        share = random.random()
        state[name] = max(0, limit + random.choice(near) if share < 0.4 else int(limit * random.random()))
    return state


def _limits(random: Random) -> dict[str, Any]:
    return {
        "caps": caps(random, 0.7),
        "min_gap": random.choice(SPANS) if random.random() < 0.35 else None,
    }


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
