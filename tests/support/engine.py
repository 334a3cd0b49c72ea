"""The engine asked directly: no database, no HTTP."""

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from api.campaigns.asked import Asked
from api.campaigns.catalog import Catalog, Stored
from api.campaigns.fields import Cap
from api.campaigns.history import History, Seen
from api.campaigns.live import LiveCampaign, by_priority, compile_campaign
from api.campaigns.model import Campaign
from api.campaigns.rules import Rule, cap_rule
from api.campaigns.selection import choose
from api.campaigns.tally import SharedCounts

NOBODY = History({})


def ask(history: History = NOBODY, *, now_us: int = 0, user: bytes = b"ani", **said: Any) -> Asked:
    return Asked(history, user=user, now_us=now_us, limit=said.pop("limit", 20), **said)


def shown(campaigns: Iterable[LiveCampaign], asked: Asked) -> list[LiveCampaign]:
    """What is chosen, in its order."""
    matching = SharedCounts(by_priority(list(campaigns)), ())
    return [campaign for campaign, _ in choose(matching, asked).shown]


def catalog_of(campaigns: Sequence[Campaign], version: int = 1, **others: Any) -> Catalog:
    """A first catalog, of these live campaigns."""
    return Catalog().replaced_by(
        Stored(
            version, [each.id for each in campaigns], [compile_campaign(each) for each in campaigns], **others
        )
    )


def cap(limit: int, window: str, zone: ZoneInfo) -> Rule:
    return cap_rule(Cap(limit=limit, window=window), zone)


def cap_reached(rule: Rule, now_us: int, total: int, recent_us: list[int]) -> bool:
    return rule.fails(ask(now_us=now_us), Seen(total, recent_us)) is not None
