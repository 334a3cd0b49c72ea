"""Limits near what has happened, so that one impression more or less decides."""

from datetime import datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.oracle.documents import Document, Event
from tests.oracle.rules import Situation, counted, curves, of_kind, own_events

_WINDOWED_MAX: Final = 64
#: Below this an even pace is a matter of how finely the curve is drawn, not of the rule.
_CURVE_SHARE: Final = 0.03
_CURVE_UNITS: Final = 2


class RoughDraws:
    """Who is held out, near enough for choosing limits."""

    def order(self, user: str, campaign: Document) -> int:
        del user
        return int(campaign["id"])

    def held_out(self, user: str, campaign: Document) -> bool:
        del user
        return bool(campaign["holdout_percent"] >= 50)

    def globally_held_out(self, user: str, percent: float) -> bool:
        del user
        return percent >= 50


def tune(random: Random, s: Situation) -> None:
    """Change the limits of campaigns and policy in place."""
    for campaign in s.campaigns.values():
        shown = of_kind(own_events(campaign, s), "impression")
        _tune_caps(random, campaign["caps"], shown, s, campaign["timezone"])
    policy = s.policy
    counting = [event for event in s.events if event.kind == _kind(policy) and event.campaign in s.campaigns]
    _tune_caps(random, policy["caps"], counting, s, policy["timezone"])
    for tag, limits in policy["tags"].items():
        of_tag = [event for event in counting if tag in s.campaigns[event.campaign]["tags"]]
        _tune_caps(random, limits["caps"], of_tag, s, policy["timezone"])


def settle(s: Situation) -> None:
    """Move what is spent away from an even pace's curve, in place: between its steps it is nobody's word."""
    for number, spent in s.spent.items():
        campaign = s.campaigns[number]
        if campaign["budget"]["pacing"] != "even":
            continue
        for name, (limit, allowed) in curves(campaign, s.now).items():
            margin = _CURVE_UNITS + _CURVE_SHARE * limit
            used = "total" if name == "total" else "today"
            if abs(spent[used] - allowed) < margin:
                spent[used] = int(allowed + margin) + 1  # type: ignore[index]  # the case's own document


def _kind(policy: Document) -> str:
    return "ghost" if policy["holdout_percent"] >= 50 else "impression"


def _tune_caps(
    random: Random, caps: list[dict[str, Any]], shown: list[Event], s: Situation, zone: str
) -> None:
    now: datetime = s.now
    for cap in caps:
        count = counted(cap["window"], shown, now, ZoneInfo(zone), s.request["session"])
        limit = max(1, count + random.choice((-1, 0, 1, 1, 1, 2, 2, 3)))
        cap["limit"] = limit if cap["window"] == "lifetime" else min(limit, _WINDOWED_MAX)
