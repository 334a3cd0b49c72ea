"""Which popups a user sees now. The only place that decides it."""

from collections.abc import Sequence

from api.campaigns.history import History
from api.campaigns.live import LiveCampaign
from api.campaigns.windows import cap_reached


def select(
    candidates: Sequence[LiveCampaign], history: History, *, user_hash: int, now_us: int, limit: int
) -> list[LiveCampaign]:
    """At most `limit` campaigns: by priority, then least recently shown to this user, then a stable hash.

    `candidates` match the request's placement and attributes and are sorted by priority. A
    campaign behind the last priority that is needed is not looked at.
    """
    chosen: list[LiveCampaign] = []
    equals: list[LiveCampaign] = []
    priority = None
    for campaign in candidates:
        if campaign.priority != priority:
            chosen += _ordered(equals, history, user_hash)
            if len(chosen) >= limit:
                return chosen[:limit]
            equals = []
            priority = campaign.priority
        if campaign.active(now_us) and may_be_shown(campaign, history, now_us):
            equals.append(campaign)
    chosen += _ordered(equals, history, user_hash)
    return chosen[:limit]


def may_be_shown(campaign: LiveCampaign, history: History, now_us: int) -> bool:
    """Whether this user's lists and counts allow one more impression of the campaign."""
    if campaign.listed_only and campaign.id not in history.listed:
        campaign.tally.not_listed += 1
        return False
    seen = history.seen.get(campaign.id)
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


def _ordered(equals: list[LiveCampaign], history: History, user_hash: int) -> list[LiveCampaign]:
    """Campaigns of one priority: never shown first, then the one shown longest ago, then by hash."""
    if len(equals) < 2:  # noqa: PLR2004  (one campaign is in order)
        return equals
    seen = history.seen

    def place(campaign: LiveCampaign) -> tuple[int, int]:
        shown = seen.get(campaign.id)
        last_us = shown.recent_us[0] if shown is not None and shown.recent_us else -(2**63)
        return last_us, campaign.order_of(user_hash)

    return sorted(equals, key=place)
