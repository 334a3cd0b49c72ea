"""The explanation says what the choice does, for any campaigns, policy, history and request."""

import random
from collections import Counter
from typing import Any

import pytest

from api.campaigns.asked import Asked
from api.campaigns.catalog import Catalog, Context
from api.campaigns.explanation import explain
from api.campaigns.fields import WEEKDAYS
from api.campaigns.groups import Allowances
from api.campaigns.history import CONVERT, History, Seen
from api.campaigns.live import LiveCampaign
from api.campaigns.model import Campaign
from api.campaigns.policy import Policy
from api.campaigns.rules import CODES, refusals
from api.campaigns.selection import choose
from tests.support.campaigns import document
from tests.support.engine import ask, catalog_of

NOW = 1_795_000_000_000_000
HOUR = 3_600_000_000
WINDOWS = ("1h", "24h", "day", "week", "month", "lifetime", "session")


def caps(rng: random.Random, most: int) -> list[dict[str, Any]]:
    return [
        {"limit": rng.randint(1, 4), "window": window} for window in rng.sample(WINDOWS, rng.randint(0, most))
    ]


def campaign(rng: random.Random, number: int) -> Campaign:
    fields: dict[str, Any] = {
        "priority": rng.randint(1, 3),
        "placement": rng.choice(["home", "home", "home", "cart"]),
        "caps": caps(rng, 2),
        "tags": rng.sample(["promo", "news"], rng.randint(0, 2)),
        "exempt": rng.random() < 0.2,
        "counts_for_policy": rng.random() < 0.8,
        "holdout_percent": rng.choice([0, 0, 50, 100]),
        "audience": rng.choice(["everyone", "everyone", "listed"]),
        "cooldown": rng.choice([None, None, "2h"]),
        "stop_after": rng.choice([None, None, {"convert": 1}, {"convert": {"count": 1, "for": "3h"}}]),
        "starts_at": rng.choice([None, None, None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
    }
    if rng.random() < 0.1:
        fields |= {"starts_at": None, "ends_at": "2026-02-01T00:00:00Z"}
    if rng.random() < 0.2:
        fields["schedule"] = [
            {"days": rng.sample(WEEKDAYS, 3), "from": "00:00", "to": rng.choice(["24:00", "06:00"])}
        ]
    if rng.random() < 0.3:
        value = rng.choice(["android", "ios"])
        fields["targeting"] = {"all": [{"attribute": "platform", "op": "eq", "value": value}]}
    if rng.random() < 0.1:
        fields["budget"] = {"total": 5}  # nothing is known of it: it has no room
    return Campaign.model_validate(document(number, **fields))


def catalog(rng: random.Random) -> Catalog:
    campaigns = [campaign(rng, number) for number in range(1, rng.randint(2, 10))]
    policy = {
        "version": 1,
        "caps": caps(rng, 1),
        "min_gap": rng.choice([None, None, "1h"]),
        "holdout_percent": rng.choice([0, 0, 0, 50]),
        "tags": {"promo": {"caps": [{"limit": 1, "window": "day"}]}} if rng.random() < 0.3 else {},
    }
    return catalog_of(
        campaigns,
        policy=Policy.model_validate(policy),
        tags={each.id: each.tags for each in campaigns},
        uncounted=[each.id for each in campaigns if not each.counts_for_policy],
        exempt=[each.id for each in campaigns if each.exempt],
    )


def history(rng: random.Random, campaigns: int) -> History:
    seen = {}
    for number in range(1, campaigns + 1):
        for side in (number, -number):
            if rng.random() < 0.5:
                times = sorted(
                    (NOW - rng.randrange(3 * HOUR) for _ in range(rng.randint(0, 4))), reverse=True
                )
                one = Seen(len(times), times, [rng.choice([0, 7]) for _ in times])
                if rng.random() < 0.3:
                    one.interact(CONVERT, NOW - rng.randrange(6 * HOUR))
                seen[side] = one
    return History(seen, rng.sample(range(1, campaigns + 1), rng.randint(0, campaigns)))


@pytest.mark.parametrize("block", range(4))
def test_it_names_what_is_chosen_in_its_order_and_a_reason_for_all_else(block: int) -> None:
    codes: Counter[str | None] = Counter()
    for seed in range(block * 500, block * 500 + 500):
        rng = random.Random(seed)
        campaigns = catalog(rng)
        asked = ask(
            history(rng, len(campaigns.campaigns)),
            now_us=NOW,
            user=b"user %d" % seed,
            limit=rng.randint(1, 4),
            session=rng.choice([0, 7]),
            policy=campaigns.policy,
            test=rng.random() < 0.1,
        )
        context = Context("home", {"platform": "android"}, asked.limit)
        choice = choose(campaigns.matching(context), asked)
        verdicts = explain(campaigns, context, asked)
        assert [each.campaign.id for each in verdicts if each.code is None] == [
            one.id for one, _ in choice.shown
        ]
        assert [each.campaign.id for each in verdicts if each.code in ("held_out", "globally_held_out")] == [
            one.id for one, _ in choice.ghosts
        ]
        assert {each.campaign.id for each in verdicts} == campaigns.campaigns.keys()
        codes.update(each.code for each in verdicts)

    assert codes.keys() >= {None, *CODES} - {"not_live", "paced", "tag_gap"}, "each verdict was seen"


def test_the_reasons_counted_are_the_decisive_ones() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        campaigns = catalog(rng)
        context = Context("home", {"platform": "android"}, 20)  # nothing is left unlooked at
        asked = ask(history(rng, 9), now_us=NOW, user=b"ani", session=7, policy=campaigns.policy)
        choose(campaigns.matching(context), asked)
        counted = campaigns.tallies.take()
        told = {
            (each.campaign.id, each.code): 1
            for each in explain(campaigns, context, asked)
            if each.code not in (None, "other_placement")
        }
        assert counted == told


@pytest.mark.parametrize(
    ("limits", "until_us"),
    [
        # One was shown 10 h ago, and one is chosen now.
        ({"caps": [{"limit": 1, "window": "24h"}]}, NOW + 24 * HOUR),
        ({"caps": [{"limit": 2, "window": "24h"}]}, NOW + 14 * HOUR),
        ({"min_gap": "1h"}, NOW + HOUR),
    ],
)
def test_what_the_same_answer_shows_is_part_of_the_wait(limits: dict[str, Any], until_us: int) -> None:
    first = Campaign.model_validate(document(1, exempt=True, priority=1))
    second = Campaign.model_validate(document(2, priority=2))
    known = catalog_of(
        [first, second], policy=Policy.model_validate({"version": 1, **limits}), tags={}, exempt=[1]
    )
    past = History({1: Seen(1, [NOW - 10 * HOUR])})
    shown, refused = explain(known, Context("home", {}, 5), ask(past, now_us=NOW, policy=known.policy))
    assert shown.code is None
    assert [each.until_us for each in refused.refusals] == [until_us]


def _blocked(asked: Asked, campaign: LiveCampaign) -> bool:
    """By its own rules, or by what the policy has counted."""
    seen = asked.history.of(asked.counted_as(campaign))
    return bool([*refusals(campaign.rules, asked, seen), *Allowances(asked).refusals(campaign)])


def test_a_rule_passes_when_it_says_so_and_not_a_microsecond_before() -> None:
    told: Counter[str] = Counter()
    for seed in range(1500):
        rng = random.Random(seed)
        campaigns = catalog(rng)
        asked = ask(history(rng, 9), now_us=NOW, user=b"ani", session=7, policy=campaigns.policy)
        for each in campaigns.campaigns.values():
            seen = asked.history.of(asked.counted_as(each))
            for rule in each.rules:
                for code, _, until_us in refusals((rule,), asked, seen):
                    if until_us is not None:
                        told[code] += 1
                        assert until_us > NOW
                        assert rule.fails(asked.at(until_us - 1), seen) == code
                        assert rule.fails(asked.at(until_us), seen) is None
    assert told.keys() == {"not_started", "outside_schedule", "stopped", "capped", "cooling_down"}


def test_a_campaign_is_let_through_when_it_says_so_and_not_a_microsecond_before() -> None:
    told = blocked_anew = 0
    for seed in range(1500):
        rng = random.Random(seed)
        campaigns = catalog(rng)
        asked = ask(history(rng, 9), now_us=NOW, user=b"ani", session=7, policy=campaigns.policy)
        for each in explain(campaigns, Context("home", {"platform": "android"}, 20), asked):
            again_us = None if each.rank is not None else each.again_us(asked)
            if again_us is not None:
                told += 1
                assert _blocked(asked.at(again_us - 1), each.campaign)
                assert not _blocked(asked.at(again_us), each.campaign)
                blocked_anew += again_us > max(refusal.until_us or 0 for refusal in each.refusals)
    assert told > 100
    assert blocked_anew > 0, "by an hour at which it is closed again, for example"
