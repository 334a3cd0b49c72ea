"""Why each campaign was shown or not: the rules and the order of `selection`, all the way through."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from api.campaigns.asked import Asked
from api.campaigns.catalog import Catalog, Context
from api.campaigns.experiments import order_of
from api.campaigns.groups import Allowances
from api.campaigns.history import Seen
from api.campaigns.live import LiveCampaign
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

#: How often a moment at which all failing rules pass is looked at again: others may fail by then.
_LOOKS_AHEAD_MAX: Final = 8
_NOTHING: Final[Sequence[Refusal]] = ()
_MISMATCHES: Final = (Refusal(TARGETING, {}),)  # what it asks for, and of what, others can tell


class Verdict(NamedTuple):
    """`refusals` are all rules that fail, the decisive one first; none if the campaign is shown.

    `rank` is the place among the campaigns that pass their own rules, from 1; `order` the last tie-break
    between those. Verdicts may share their lists.
    """

    campaign: LiveCampaign
    seen: Seen | None
    refusals: Sequence[Refusal]
    rank: int | None = None
    order: int | None = None

    @property
    def code(self) -> str | None:
        """The first rule that fails; None if the campaign is shown."""
        return self.refusals[0].code if self.refusals else None

    def again_us(self, asked: Asked) -> int | None:
        """From when on it may be shown, if nothing happens until then; None if never, or not to be told.

        A schedule, an end or a budget may be in the way by the time that the other rules pass.
        """
        again_us = _latest(self.refusals)
        for _ in range(_LOOKS_AHEAD_MAX):
            if again_us is None:
                return None
            later = asked.at(again_us)
            fickle = tuple(rule for rule in self.campaign.rules if rule.may_fail_again)
            in_the_way = list(refusals(fickle, later, self.seen))
            if not in_the_way:
                return again_us
            again_us = _latest(in_the_way)
        return None


def explain(catalog: Catalog, context: Context, asked: Asked) -> list[Verdict]:
    """Of all live campaigns: those that pass their own rules by rank, then the others by priority."""
    matching = frozenset(catalog.matching_once(context).matching)
    passing: list[Eligible] = []
    others: list[Verdict] = []
    from_the_past = Allowances(asked) if asked.policy.groups else None
    seen_of, nobody_held_out = asked.history.of, asked.policy.holdout is None
    for campaign in catalog.ordered:
        plain = nobody_held_out and campaign.holdout is None
        seen = seen_of(campaign.id if plain else asked.counted_as(campaign))
        failing = _NOTHING if campaign in matching else _about_the_request(campaign, context)
        for fails in campaign.checks_unseen if seen is None else campaign.checks:
            if fails(asked, seen) is not None:
                failing = [*failing, *refusals(campaign.rules, asked, seen)]
                break
        if not failing:
            passing.append((campaign, seen))
            continue
        if from_the_past is not None:
            failing = [*failing, *from_the_past.refusals(campaign)]
        if not plain:
            failing = [*failing, *_held_out(campaign, asked)]
        others.append(Verdict(campaign, seen, failing, None, None))
    return _offered(passing, asked) + others


def _offered(passing: list[Eligible], asked: Asked) -> list[Verdict]:
    answer, user_hash = Answer(asked), asked.user_hash
    outranked = [Refusal(OUTRANKED, {"limit": asked.limit})]
    only_ranks = answer.allowances is None and asked.policy.holdout is None
    verdicts = []
    for rank, one in enumerate(_by_rank(passing, asked), start=1):
        campaign, seen = one
        failing: Sequence[Refusal] = outranked
        if not (only_ranks and answer.full and campaign.holdout is None):
            failing = _refused(one, answer, asked, outranked)
        order = order_of(user_hash, campaign.order_seed)
        verdicts.append(Verdict(campaign, seen, failing, rank, order))
    return verdicts


def _by_rank(passing: list[Eligible], asked: Asked) -> Iterator[Eligible]:
    for _, equals in groupby(passing, key=lambda one: one[0].priority):
        yield from ranked(list(equals), asked)


def _refused(one: Eligible, answer: Answer, asked: Asked, outranked: Sequence[Refusal]) -> Sequence[Refusal]:
    """Offer it for the answer, and tell all that speaks against it."""
    campaign = one[0]
    of_groups = [] if answer.allowances is None else list(answer.allowances.refusals(campaign))
    held_out = _held_out(campaign, asked)
    code = answer.offer(one)
    if code is None:
        return []
    if code == OUTRANKED:
        return [*outranked, *of_groups, *held_out]
    return [*of_groups, *held_out]


def _about_the_request(campaign: LiveCampaign, context: Context) -> Sequence[Refusal]:
    """Of a campaign that does not match."""
    if campaign.placement == context.placement:
        return _MISMATCHES
    elsewhere = Refusal(OTHER_PLACEMENT, {"placement": campaign.placement, "asked": context.placement})
    return [elsewhere] if campaign.matches(context.attributes) else [elsewhere, *_MISMATCHES]


def _held_out(campaign: LiveCampaign, asked: Asked) -> Sequence[Refusal]:
    if campaign.holdout is None and asked.policy.holdout is None:
        return _NOTHING
    found = []
    if campaign.holdout is not None and asked.held_out_of(campaign):
        found.append(Refusal(HELD_OUT, {"percent": campaign.holdout.percent}))
    if asked.policy.holdout is not None and asked.globally_held and not campaign.exempt:
        found.append(Refusal(GLOBALLY_HELD_OUT, {"percent": asked.policy.holdout.percent}))
    return found


def _latest(failing: Sequence[Refusal]) -> int | None:
    """When all pass; None if that can't be told of one of them."""
    latest_us = None
    for refusal in failing:
        if refusal.until_us is None:
            return None
        if latest_us is None or refusal.until_us > latest_us:
            latest_us = refusal.until_us
    return latest_us
