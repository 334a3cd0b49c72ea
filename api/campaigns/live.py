"""A campaign in the form in which requests use it: everything that can be decided once, is."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from api.campaigns.budget import Budget, SoftBudget, Stock
from api.campaigns.model import Campaign, Variant
from api.campaigns.schedule import Active, compile_schedule
from api.campaigns.targeting import Predicate, compile_targeting
from api.campaigns.windows import CompiledCap, compile_cap, parse_duration, parse_window, to_us

_MIX = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: multiplying by it spreads the low bits over the high ones
_MASK = 2**64 - 1


@dataclass(slots=True)
class Tally:
    """How often the campaign was served, and why a request that it matched left it out, in this process."""

    served: int = 0
    capped: int = 0
    cooling_down: int = 0
    not_listed: int = 0
    out_of_budget: int = 0


@dataclass(frozen=True, slots=True)
class LiveVariant:
    """`head` is the popup's JSON from `{` to the opening quote of its token."""

    key: bytes
    weight: int
    head: bytes
    seed: bytes


@dataclass(frozen=True, slots=True, eq=False)
class LiveCampaign:
    id: int
    key: str
    version: int
    priority: int
    placement: str
    listed_only: bool
    active: Active
    matches: Predicate
    caps: tuple[CompiledCap, ...]
    cooldown_us: int  # 0: none
    budget: Budget | None
    variants: tuple[LiveVariant, ...]
    order_seed: int
    tally: Tally

    def order_of(self, user_hash: int) -> int:
        """The last tie-break between campaigns: fixed for a user, and spread evenly over users."""
        return ((user_hash ^ self.order_seed) * _MIX) & _MASK

    def variant_for(self, user: bytes) -> LiveVariant:
        """The user's variant, by weighted rendezvous hashing: each variant draws -ln(u)/weight, least wins.

        So a changed weight moves only the share of users that it must.
        Source: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005.
        """
        if len(self.variants) == 1:
            return self.variants[0]
        return min(self.variants, key=lambda variant: _draw(variant, user))


def compile_campaign(campaign: Campaign, previous: LiveCampaign | None = None) -> LiveCampaign:
    """`previous` is an earlier compilation of the same campaign: its counters go on.

    What is known of a soft budget goes on too. A hard one begins without units.
    """
    zone = ZoneInfo(campaign.timezone)
    return LiveCampaign(
        id=campaign.id,
        key=campaign.key,
        version=campaign.version,
        priority=campaign.priority,
        placement=campaign.placement,
        listed_only=campaign.audience == "listed",
        active=compile_schedule(
            None if campaign.starts_at is None else to_us(campaign.starts_at),
            None if campaign.ends_at is None else to_us(campaign.ends_at),
            campaign.schedule,
            zone,
        ),
        matches=compile_targeting(campaign.targeting),
        caps=_caps(campaign, zone),
        cooldown_us=0 if campaign.cooldown is None else parse_duration(campaign.cooldown),
        budget=_budget(campaign, zone, None if previous is None else previous.budget),
        variants=tuple(_variant(campaign, variant) for variant in campaign.variants if variant.weight),
        order_seed=int.from_bytes(_hash(campaign.key.encode()), "big"),
        tally=Tally() if previous is None else previous.tally,
    )


@lru_cache(maxsize=1)
def user_hash(user: bytes) -> int:
    return int.from_bytes(_hash(user), "big")


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


def _draw(variant: LiveVariant, user: bytes) -> float:
    drawn = int.from_bytes(_hash(variant.seed + user), "big")
    return -math.log((drawn + 1) / 2**64) / variant.weight


def _caps(campaign: Campaign, zone: ZoneInfo) -> tuple[CompiledCap, ...]:
    return tuple(compile_cap(cap.limit, parse_window(cap.window), zone) for cap in campaign.caps)


def _budget(campaign: Campaign, zone: ZoneInfo, previous: Budget | None) -> Budget | None:
    limits = campaign.budget
    if limits is None:
        return None
    if limits.hard:
        return Stock(zone, per_day=limits.per_day is not None)
    if isinstance(previous, SoftBudget):
        previous.limit(zone, total=limits.total, per_day=limits.per_day)
        return previous
    return SoftBudget(zone, total=limits.total, per_day=limits.per_day)


def _variant(campaign: Campaign, variant: Variant) -> LiveVariant:
    document = {
        "campaign": campaign.key,
        "variant": variant.key,
        "placement": campaign.placement,
        "priority": campaign.priority,
        "content": variant.content,
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return LiveVariant(
        key=variant.key.encode(),
        weight=variant.weight,
        head=f'{text[:-1]},"token":"'.encode(),
        seed=f"{campaign.key}\0{variant.key}\0".encode(),
    )


def by_priority(campaigns: Sequence[LiveCampaign]) -> tuple[LiveCampaign, ...]:
    return tuple(sorted(campaigns, key=lambda campaign: (campaign.priority, campaign.id)))
