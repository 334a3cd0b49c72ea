"""Why each campaign was shown or not: the rules and the order of `selection`, all the way through."""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from api.campaigns.asked import Asked
from api.campaigns.catalog import Catalog, Context
from api.campaigns.experiments import order_of
from api.campaigns.groups import Allowances
from api.campaigns.history import Seen
from api.campaigns.live import LiveCampaign, by_priority
from api.campaigns.rules import (
    GLOBALLY_HELD_OUT,
    HELD_OUT,
    OTHER_PLACEMENT,
    OUTRANKED,
    TARGETING,
    Refusal,
    refusals,
)
from api.campaigns.selection import Answer, Eligible, ranked


class Verdict(NamedTuple):
    """`refusals` are all rules that fail, the decisive one first; none if the campaign is shown.

    `rank` is the place among the campaigns that pass their own rules, from 1. `order` is the last tie-break.
    `again_us`: from when on it may be shown if nothing happens until then; None if that can't be told.
    """

    campaign: LiveCampaign
    seen: Seen | None
    refusals: list[Refusal]
    rank: int | None
    order: int

    @property
    def code(self) -> str | None:
        """The first rule that fails; None if the campaign is shown."""
        return self.refusals[0].code if self.refusals else None

    @property
    def again_us(self) -> int | None:
        ends = [refusal.until_us for refusal in self.refusals]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None


def explain(catalog: Catalog, context: Context, asked: Asked) -> list[Verdict]:
    """Of all live campaigns: those that pass their own rules by rank, then the others by priority."""
    passing: list[Eligible] = []
    others: list[Verdict] = []
    from_the_past = Allowances(asked)
    for campaign in by_priority(list(catalog.campaigns.values())):
        seen = asked.history.of(asked.counted_as(campaign))
        failing = [*_about_the_request(campaign, context), *refusals(campaign.rules, asked, seen)]
        if failing:
            failing += from_the_past.refusals(campaign)
            failing += _held_out(campaign, asked)
            others.append(_verdict(campaign, seen, failing, None, asked))
        else:
            passing.append((campaign, seen))
    return [*_offered(passing, asked), *others]


def _offered(passing: list[Eligible], asked: Asked) -> Iterator[Verdict]:
    answer = Answer(asked)
    rank = 0
    for _, equals in groupby(passing, key=lambda one: one[0].priority):
        for one in ranked(list(equals), asked):
            rank += 1
            campaign, seen = one
            of_groups = [] if answer.allowances is None else list(answer.allowances.refusals(campaign))
            code = answer.offer(one)
            failing = [Refusal(code, {})] if code in (OUTRANKED, HELD_OUT, GLOBALLY_HELD_OUT) else []
            failing += of_groups
            if code is not None:
                failing += [each for each in _held_out(campaign, asked) if each.code != code]
            yield _verdict(campaign, seen, failing, rank, asked)


def _about_the_request(campaign: LiveCampaign, context: Context) -> Iterator[Refusal]:
    if campaign.placement != context.placement:
        yield Refusal(OTHER_PLACEMENT, {"placement": campaign.placement})
    failing = [
        part.told(context.attributes) for part in campaign.targeting if not part.matches(context.attributes)
    ]
    if failing:
        yield Refusal(TARGETING, {"conditions": failing})


def _held_out(campaign: LiveCampaign, asked: Asked) -> Iterator[Refusal]:
    if asked.held_out_of(campaign):
        yield Refusal(HELD_OUT, {})
    if asked.globally_held and not campaign.exempt:
        yield Refusal(GLOBALLY_HELD_OUT, {})


def _verdict(
    campaign: LiveCampaign, seen: Seen | None, failing: list[Refusal], rank: int | None, asked: Asked
) -> Verdict:
    return Verdict(campaign, seen, failing, rank, order_of(asked.user_hash, campaign.order_seed))
