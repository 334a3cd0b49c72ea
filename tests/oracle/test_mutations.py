"""Each rule of the engine, broken in one way: the oracle must notice, and soon.

Most are off by a microsecond or by one: what only an oracle that looks at the edges can see.
"""

from collections.abc import Callable
from datetime import UTC
from typing import Any, Final

import pytest

from api.campaigns import groups, live, rules, selection, windows
from api.campaigns.asked import Asked
from api.campaigns.budget import SoftBudget, Stock
from api.campaigns.catalog import Catalog, Context, Placement
from api.campaigns.groups import Group, Limit, LivePolicy, Standing
from api.campaigns.history import History, Seen
from api.campaigns.live import LiveCampaign, by_priority
from api.campaigns.schedule import Slots
from api.campaigns.tally import SharedCounts
from tests.oracle import engine
from tests.oracle.run import run

_SEED: Final = 7
_CASES_MAX: Final = 1_500

Patch = Callable[[Any, str, Any], None]
Mutation = Callable[[Patch], None]


def paused_is_live(patch: Patch) -> None:
    patch(engine, "_LIVE", ("live", "paused"))


def all_placements(patch: Patch) -> None:
    def matching(catalog: Catalog, context: Context) -> SharedCounts:
        return Placement(by_priority(list(catalog.campaigns.values())), catalog.tallies).matching(context)

    patch(Catalog, "matching", matching)


def no_targeting(patch: Patch) -> None:
    patch(live, "compile_targeting", lambda _: lambda _attributes: True)


def contexts_are_mixed_up(patch: Patch) -> None:
    patch(live, "attributes_of", lambda _targeting: frozenset())


def starts_late(patch: Patch) -> None:
    _move_flights(patch, starts_us=1)


def ends_late(patch: Patch) -> None:
    _move_flights(patch, ends_us=1)


def schedule_of_utc(patch: Patch) -> None:
    original = Slots.active
    patch(Slots, "active", lambda slots, now_us, _zone: original(slots, now_us, UTC))


def schedule_of_the_campaign_only(patch: Patch) -> None:
    patch(rules.InSlot, "_clock", lambda rule, _asked: rule._zone)


def nobody_need_be_listed(patch: Patch) -> None:
    patch(rules.Listed, "fails", lambda _rule, _asked, _seen: None)


def stops_one_later(patch: Patch) -> None:
    _wrap_init(patch, rules.Stopped, lambda rule: setattr(rule, "_count", rule._count + 1))


def stops_a_microsecond_longer(patch: Patch) -> None:
    def longer(rule: rules.Stopped) -> None:
        if rule._for_us is not None:
            rule._for_us += 1

    _wrap_init(patch, rules.Stopped, longer)


def caps_count_the_edge(patch: Patch) -> None:
    original = windows.compile_window

    def earlier(window: Any, zone: Any) -> Any:
        start = original(window, zone)
        return lambda now_us: start(now_us) - 1

    patch(rules, "compile_window", earlier)


def lifetime_is_what_is_kept(patch: Patch) -> None:
    def fails(rule: rules.LifetimeCap, _asked: Asked, seen: Seen | None) -> str | None:
        return rules.CAPPED if seen is not None and len(seen.recent_us) >= rule._limit else None

    patch(rules.LifetimeCap, "fails", fails)


def session_caps_guess(patch: Patch) -> None:
    original = rules.SessionCap.fails
    patch(
        rules.SessionCap,
        "fails",
        lambda rule, asked, seen: (asked.session and original(rule, asked, seen)) or None,
    )


def sessions_are_one(patch: Patch) -> None:
    patch(Seen, "in_session", lambda seen, _session: len(seen.recent_us))


def cools_down_longer(patch: Patch) -> None:
    _wrap_init(patch, rules.Cooldown, lambda rule: setattr(rule, "_length_us", rule._length_us + 1))


def soft_budgets_never_end(patch: Patch) -> None:
    patch(SoftBudget, "shortage", lambda _budget, _now_us: None)


def hard_budgets_never_end(patch: Patch) -> None:
    patch(Stock, "has_room", lambda _budget, _now_us: True)


def policy_caps_count_the_edge(patch: Patch) -> None:
    original = Limit.start_us
    patch(Limit, "start_us", lambda limit, now_us: original(limit, now_us) - 1)


def policy_forgets_what_is_chosen(patch: Patch) -> None:
    patch(Standing, "take", lambda _standing: None)


def policy_gap_admits_two(patch: Patch) -> None:
    original = Standing.take

    def take(standing: Standing) -> None:
        was_open = standing._open
        original(standing)
        standing._open = was_open

    patch(Standing, "take", take)


def no_tags(patch: Patch) -> None:
    def groups_of(policy: LivePolicy, _campaign: LiveCampaign) -> tuple[int, ...]:
        return tuple(index for index, group in enumerate(policy.groups) if group.tag is None)

    patch(LivePolicy, "groups_of", groups_of)


def everything_counts_for_the_policy(patch: Patch) -> None:
    patch(Group, "_counts", lambda group, campaign: group._members is None or campaign in group._members)


def nothing_is_exempt(patch: Patch) -> None:
    def refuses(allowances: groups.Allowances, campaign: LiveCampaign) -> str | None:
        codes = [
            allowances._standing(index).refuses(allowances._asked)
            for index in allowances._asked.policy.groups_of(campaign)
        ]
        return next((code for code in codes if code is not None), None)

    patch(groups.Allowances, "refuses", refuses)


def exempt_takes_nothing(patch: Patch) -> None:
    original = groups.Allowances.take

    def take(allowances: groups.Allowances, campaign: LiveCampaign) -> None:
        if not campaign.exempt:
            original(allowances, campaign)

    patch(groups.Allowances, "take", take)


def nobody_is_held_out(patch: Patch) -> None:
    patch(Asked, "held_out_of", lambda _asked, _campaign: False)


def nobody_is_globally_held_out(patch: Patch) -> None:
    patch(Asked, "globally_held", property(lambda _asked: False))


def who_tests_is_held_out(patch: Patch) -> None:
    original = Asked.__init__
    patch(
        Asked, "__init__", lambda asked, history, **said: original(asked, history, **said | {"test": False})
    )


def ghosts_see_what_was_shown(patch: Patch) -> None:
    patch(Asked, "counted_as", lambda _asked, campaign: campaign.id)


def ghosts_of_one_campaign_take_a_slot(patch: Patch) -> None:
    original = selection.Answer.offer

    def offer(answer: selection.Answer, one: selection.Eligible) -> str | None:
        code = original(answer, one)
        if code == rules.HELD_OUT:
            answer._left -= 1
        return code

    patch(selection.Answer, "offer", offer)


def one_too_many(patch: Patch) -> None:
    original = selection.Answer.__init__

    def init(answer: selection.Answer, asked: Asked) -> None:
        original(answer, asked)
        answer._left += 1

    patch(selection.Answer, "__init__", init)


def order_by_hash_alone(patch: Patch) -> None:
    patch(selection, "last_shown_us", lambda _seen: 0)


def what_was_never_shown_comes_last(patch: Patch) -> None:
    original = rules.last_shown_us
    patch(selection, "last_shown_us", lambda seen: original(seen) if seen is not None else 2**62)


def nobody_is_remembered_as_listed(patch: Patch) -> None:
    original = History.__init__
    patch(History, "__init__", lambda history, seen, _listed=(): original(history, seen))


def placements_are_never_renewed(patch: Patch) -> None:
    original = Catalog._placements
    patch(
        Catalog, "_placements", lambda catalog, campaigns: catalog.placements or original(catalog, campaigns)
    )


MUTATIONS: Final = (
    *(paused_is_live, all_placements, no_targeting, contexts_are_mixed_up),
    *(starts_late, ends_late, schedule_of_utc, schedule_of_the_campaign_only),
    *(nobody_need_be_listed, nobody_is_remembered_as_listed, stops_one_later, stops_a_microsecond_longer),
    *(caps_count_the_edge, lifetime_is_what_is_kept, session_caps_guess, sessions_are_one, cools_down_longer),
    *(soft_budgets_never_end, hard_budgets_never_end),
    *(policy_caps_count_the_edge, policy_forgets_what_is_chosen, policy_gap_admits_two, no_tags),
    *(everything_counts_for_the_policy, nothing_is_exempt, exempt_takes_nothing),
    *(nobody_is_held_out, nobody_is_globally_held_out, who_tests_is_held_out),
    *(ghosts_see_what_was_shown, ghosts_of_one_campaign_take_a_slot),
    *(one_too_many, order_by_hash_alone, what_was_never_shown_comes_last, placements_are_never_renewed),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_the_oracle_notices(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch.setattr)
    played = run(seed=_SEED, cases=_CASES_MAX, jobs=1, progress=lambda _: None)
    assert played.failed is not None


def _move_flights(patch: Patch, *, starts_us: int = 0, ends_us: int = 0) -> None:
    original = rules.flight_of

    def moved(campaign: Any) -> tuple[int, int]:
        first, end = original(campaign)
        return first + starts_us, end + ends_us

    patch(rules, "flight_of", moved)


def _wrap_init(patch: Patch, kind: Any, change: Callable[[Any], None]) -> None:
    original = kind.__init__

    def init(rule: Any, *arguments: Any) -> None:
        original(rule, *arguments)
        change(rule)

    patch(kind, "__init__", init)
