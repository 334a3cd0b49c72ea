"""Campaigns of the Redis variant: as they stand in Redis, and as a process keeps them to choose from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

CAMPAIGNS_KEY: Final = "campaigns"
STREAM_KEY: Final = "impressions"
DAY_SECONDS: Final = 86_400
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": DAY_SECONDS}
_CALENDAR: Final = {"day": DAY_SECONDS, "week": 7 * DAY_SECONDS, "month": 30 * DAY_SECONDS}


@dataclass(frozen=True)
class Campaign:
    """`caps`: limits and their windows in seconds, None for ever. Times in seconds since the Unix epoch."""

    id: int
    popup: str
    listed: bool
    starts_at: float
    ends_at: float
    caps: tuple[tuple[int, int | None], ...]

    def counters(self, user: str) -> Iterator[tuple[str, int | None]]:
        """Key and seconds to live of each cap's counter."""
        for _, seconds in self.caps:
            yield counter(user, self.id, seconds), seconds


class Placement:
    """The campaigns of a placement, the first ones first."""

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self._campaigns = campaigns
        self._suffixes = [
            counter("", campaign.id, seconds) for campaign in campaigns for _, seconds in campaign.caps
        ]

    def counters(self, user: str) -> list[str]:
        """The keys that `choose` wants, in its order."""
        return [user + suffix for suffix in self._suffixes]

    def choose(self, counts: Sequence[bytes | None], listed: set[bytes], now: float, limit: int) -> list[str]:
        found: list[str] = []
        at = 0
        for campaign in self._campaigns:
            first, at = at, at + len(campaign.caps)
            if not campaign.starts_at <= now < campaign.ends_at:
                continue
            if campaign.listed and str(campaign.id).encode() not in listed:
                continue
            if any(
                int(count or 0) >= cap
                for (cap, _), count in zip(campaign.caps, counts[first:at], strict=True)
            ):
                continue
            found.append(campaign.popup)
            if len(found) == limit:
                break
        return found


def counter(user: str, campaign_id: int, seconds: int | None) -> str:
    return f"{user}:{campaign_id}:{seconds or 'ever'}"


def window_seconds(window: str) -> int | None:
    """`30m`, `24h`, `7d`; `day`, `week`, `month`; `lifetime`."""
    if window == "lifetime":
        return None
    return _CALENDAR.get(window) or int(window[:-1]) * _UNITS[window[-1]]


def parse(text: bytes | str) -> dict[Any, Any]:
    """Placements by name, and campaigns by id."""
    placements: dict[str, list[Campaign]] = {}
    catalog: dict[Any, Any] = {}
    for each in sorted(json.loads(text), key=lambda each: (each["priority"], each["id"])):
        campaign = Campaign(
            id=each["id"],
            popup=each["popup"],
            listed=each["listed"],
            starts_at=each["starts_at"],
            ends_at=each["ends_at"],
            caps=tuple((limit, seconds) for limit, seconds in each["caps"]),
        )
        catalog[campaign.id] = campaign
        placements.setdefault(each["placement"], []).append(campaign)
    catalog.update((name, Placement(campaigns)) for name, campaigns in placements.items())
    return catalog
