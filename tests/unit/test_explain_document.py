"""The explanation as JSON, put together as text: valid, and what the verdicts say."""

import json
import random
from typing import Any

import pytest

from api.campaigns.asked import Asked
from api.campaigns.catalog import Catalog, Context
from api.campaigns.explanation import Verdict, explain
from api.campaigns.history import History, Seen
from api.campaigns.model import Campaign
from api.explain.document import Document
from api.explain.memory import Memory
from api.explain.moments import iso
from api.explain.reading import Other
from api.explain.reasons import Reasons
from tests.support.campaigns import document
from tests.support.engine import ask, catalog_of
from tests.unit import test_explanation as random_cases

NOW_US = random_cases.NOW
CONTEXT = Context("home", {"platform": 'a"b\\c\n\u2028 é'}, 3)


def written(
    catalog: Catalog,
    asked: Asked,
    verdicts: list[Verdict],
    *,
    variants: bool = False,
    memory: Memory | None = None,
) -> list[dict[str, Any]]:
    campaigns = (memory or Memory()).of(catalog)
    reasons = Reasons(asked, CONTEXT, campaigns, {}, leases=True)
    told = Document(asked, verdicts, campaigns, reasons).campaigns(verdicts, variants=variants)
    return list(json.loads(f"[{','.join(told)}]"))


@pytest.mark.parametrize("block", range(4))
def test_it_says_what_the_verdicts_say(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        rng = random.Random(seed)
        catalog = random_cases.catalog(rng)
        history = random_cases.history(rng, 9)
        asked = ask(history, now_us=NOW_US, session=rng.choice([0, 7]), policy=catalog.policy, limit=2)
        verdicts = explain(catalog, CONTEXT, asked)
        for verdict, told in zip(verdicts, written(catalog, asked, verdicts), strict=True):
            _compare(verdict, told, asked)


def _compare(verdict: Verdict, told: dict[str, Any], asked: Asked) -> None:
    campaign, seen = verdict.campaign, verdict.seen
    assert (told["campaign"], told["id"], told["rank"]) == (campaign.key, campaign.id, verdict.rank)
    assert told["verdict"] == (verdict.code or "shown")
    assert [each["code"] for each in told["reasons"]] == [each.code for each in verdict.refusals]
    ends = [None if each["again_from"] is None else each["again_from"]["at"] for each in told["reasons"]]
    assert ends == [None if each.until_us is None else iso(each.until_us) for each in verdict.refusals]
    again_us = verdict.again_us(asked) if verdict.refusals else None
    assert (told["again_from"] or {}).get("at") == (None if again_us is None else iso(again_us))
    assert (told["counts"] is None) is (seen is None)
    if seen is not None:
        assert told["counts"]["impressions"] == seen.total
        assert told["counts"]["conversions"] == seen.interactions[2]
    assert (told["order"] is None) is (verdict.rank is None)


def test_what_the_request_says_is_told_letter_by_letter() -> None:
    asked = ask(now_us=NOW_US)
    wanted = {"attribute": "platform", "op": "eq", "value": "\u2028\"'\\"}
    catalog = catalog_of([Campaign.model_validate(document(1, targeting=wanted))])
    (told,) = written(catalog, asked, explain(catalog, CONTEXT, asked))
    (reason,) = told["reasons"]
    assert reason["detail"] == {"conditions": [wanted], "given": {"platform": CONTEXT.attributes["platform"]}}
    assert CONTEXT.attributes["platform"] in reason["text"]


def test_variants_are_told_of_what_is_shown_or_of_all() -> None:
    capped = document(1, caps=[{"limit": 1, "window": "day"}])
    catalog = catalog_of([Campaign.model_validate(each) for each in (capped, document(2))])
    asked = ask(History({1: Seen(1, [NOW_US - 1])}), now_us=NOW_US)
    verdicts = explain(catalog, CONTEXT, asked)
    assert [each["variant"] for each in written(catalog, asked, verdicts)] == ["a", None]
    assert [each["variant"] for each in written(catalog, asked, verdicts, variants=True)] == ["a", "a"]


def test_a_changed_campaign_is_not_told_as_it_was() -> None:
    memory = Memory()
    asked = ask(now_us=NOW_US)
    for version, platform in ((1, "ios"), (2, "web")):
        wanted = {"attribute": "platform", "op": "eq", "value": platform}
        fields = {"targeting": wanted, "priority": version, "version": version}
        catalog = catalog_of([Campaign.model_validate(document(1, **fields))], version)
        (told,) = written(catalog, asked, explain(catalog, CONTEXT, asked), memory=memory)
        assert told["reasons"][0]["detail"]["conditions"] == [wanted]
        assert told["priority"] == version


def test_others_are_told_with_the_placement_asked_for() -> None:
    asked = ask(now_us=NOW_US)
    told = Document(asked, [], {}, Reasons(asked, CONTEXT, {}, {}, leases=True))
    others = [Other(1, "a", "draft", "home", 5), Other(2, "b", "archived", "cart", 6)]
    here, there = (json.loads(each) for each in told.others(others, "home"))
    assert [each["code"] for each in here["reasons"]] == ["not_live"]
    assert [each["text"] for each in there["reasons"]] == [
        "its status is archived: only live campaigns are shown",
        "it is for cart, not for home",
    ]
