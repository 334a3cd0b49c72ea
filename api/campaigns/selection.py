"""Which popups a user sees now. The only place that decides it."""

from collections.abc import Sequence

from api.campaigns.history import History, Seen
from api.campaigns.live import LiveCampaign, user_hash
from api.campaigns.windows import BEGINNING_US, cap_reached

Allowed = tuple[LiveCampaign, Seen | None]


def select(
    candidates: Sequence[LiveCampaign], history: History, *, user: bytes, now_us: int, limit: int
) -> list[LiveCampaign]:
    """At most `limit` campaigns: by priority, then least recently shown to this user, then a stable hash.

    `user` is the id in UTF-8. `candidates` match the request and are sorted by priority. A campaign
    behind the last priority that is needed is not looked at.
    """
    chosen: list[LiveCampaign] = []
    equals: list[Allowed] = []
    priority = None
    for campaign in candidates:
        if campaign.priority != priority:
            if equals:
                chosen += _ordered(equals, user)
                if len(chosen) >= limit:
                    return chosen[:limit]
                equals = []
            priority = campaign.priority
        if campaign.active(now_us):
            seen = history.of(campaign.id)
            if may_be_shown(campaign, seen, history, now_us):
                equals.append((campaign, seen))
    chosen += _ordered(equals, user)
    return chosen[:limit]


def may_be_shown(campaign: LiveCampaign, seen: Seen | None, history: History, now_us: int) -> bool:
    """Whether the budget, and this user's lists and counts, allow one more impression of the campaign."""
    if campaign.listed_only and campaign.id not in history.listed:
        campaign.tally.not_listed += 1
        return False
    if campaign.budget is not None and not campaign.budget.has_room(now_us):
        campaign.tally.out_of_budget += 1
        return False
    if seen is None:
        return True
    recent_us = seen.recent_us
    for cap in campaign.caps:
        if cap_reached(cap, now_us, seen.total, recent_us):
            campaign.tally.capped += 1
            return False
    if campaign.cooldown_us and recent_us and recent_us[0] > now_us - campaign.cooldown_us:
        campaign.tally.cooling_down += 1
        return False
    return True


def _ordered(equals: list[Allowed], user: bytes) -> list[LiveCampaign]:
    """Campaigns of one priority: never shown first, then the one shown longest ago, then by hash."""
    if len(equals) > 1:
        hashed = user_hash(user)
        equals.sort(key=lambda one: (_last_shown_us(one[1]), one[0].order_of(hashed)))
    return [campaign for campaign, _ in equals]


def _last_shown_us(seen: Seen | None) -> int:
    return seen.recent_us[0] if seen is not None and seen.recent_us else BEGINNING_US
