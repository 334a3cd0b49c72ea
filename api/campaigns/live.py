"""A campaign in the form in which requests use it: everything that can be decided once, is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from api.campaigns.budget import Budget, SoftBudget, Stock
from api.campaigns.curve import pace_of
from api.campaigns.experiments import Draw, LiveVariant, hash_of, holdout, variant_for
from api.campaigns.model import Campaign, Variant
from api.campaigns.rules import Check, Rule, flight_of, rules_of
from api.campaigns.schedule import Slots, slots_of
from api.campaigns.tally import Tally
from api.campaigns.targeting import (
    Part,
    Predicate,
    attributes_of,
    compile_targeting,
    targeting_parts,
    telling_values,
)


@dataclass(frozen=True, slots=True, eq=False)
class LiveCampaign:
    """`rules` in the order of evaluation; `checks` are the same as functions, `checks_unseen` those of them
    that can fail for a user who has no history with the campaign.

    `found_by`: an attribute and its values of which a request must have one to match, if there are such.
    """

    id: int
    key: str
    version: int
    priority: int
    placement: str
    starts_us: int
    ends_us: int
    zone: ZoneInfo
    slots: Slots | None  # None also when they follow the user's clock
    targeting: tuple[Part, ...]
    matches: Predicate
    found_by: tuple[str, frozenset[str]] | None
    attributes: frozenset[str]  # that the targeting asks for
    rules: tuple[Rule, ...]
    checks: tuple[Check, ...]
    checks_unseen: tuple[Check, ...]
    budget: Budget | None
    tags: frozenset[str]
    exempt: bool
    counts_for_policy: bool
    holdout: Draw | None
    variants: tuple[LiveVariant, ...]
    order_seed: int
    tally: Tally
    document: Campaign

    def active(self, now_us: int) -> bool:
        """Whether any user may be shown it, as far as time is concerned."""
        if not self.starts_us <= now_us < self.ends_us:
            return False
        return self.slots is None or self.slots.active(now_us, self.zone)

    def variant_for(self, user: bytes) -> LiveVariant:
        """The one that this user (the id in UTF-8) sees, always the same."""
        return variant_for(self.variants, user)


def compile_campaign(campaign: Campaign, previous: LiveCampaign | None = None) -> LiveCampaign:
    """`previous` is an earlier compilation of the same campaign: its counters go on.

    What is known of a soft budget goes on too. A hard one begins without units.
    """
    zone = ZoneInfo(campaign.timezone)
    budget = _budget(campaign, zone, None if previous is None else previous.budget)
    rules = rules_of(campaign, zone, budget)
    starts_us, ends_us = flight_of(campaign)
    targeting = targeting_parts(campaign.targeting)
    return LiveCampaign(
        id=campaign.id,
        key=campaign.key,
        version=campaign.version,
        priority=campaign.priority,
        placement=campaign.placement,
        starts_us=starts_us,
        ends_us=ends_us,
        zone=zone,
        slots=slots_of(campaign.schedule) if campaign.schedule_timezone == "campaign" else None,
        targeting=targeting,
        matches=compile_targeting(targeting),
        found_by=telling_values(campaign.targeting),
        attributes=attributes_of(campaign.targeting),
        rules=rules,
        checks=tuple(rule.fails for rule in rules),
        checks_unseen=tuple(rule.fails for rule in rules if not rule.of_users_past),
        budget=budget,
        tags=frozenset(campaign.tags),
        exempt=campaign.exempt,
        counts_for_policy=campaign.counts_for_policy,
        holdout=holdout(campaign.key, campaign.holdout_percent),
        variants=tuple(_variant(campaign, variant) for variant in campaign.variants if variant.weight),
        order_seed=hash_of(campaign.key.encode()),
        tally=Tally() if previous is None else previous.tally,
        document=campaign,
    )


def by_priority(campaigns: Sequence[LiveCampaign]) -> tuple[LiveCampaign, ...]:
    return tuple(sorted(campaigns, key=lambda campaign: (campaign.priority, campaign.id)))


def _budget(campaign: Campaign, zone: ZoneInfo, previous: Budget | None) -> Budget | None:
    limits = campaign.budget
    if limits is None:
        return None
    if limits.hard:
        return Stock(zone, per_day=limits.per_day is not None)
    pace = pace_of(campaign, zone)
    if isinstance(previous, SoftBudget):
        previous.limit(zone, total=limits.total, per_day=limits.per_day, pace=pace)
        return previous
    return SoftBudget(zone, total=limits.total, per_day=limits.per_day, pace=pace)


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
