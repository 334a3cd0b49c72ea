"""What explanations say: conditions, reasons and times in words."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from api.campaigns.conditions import condition_words, given_words
from api.campaigns.rules import CODES, ENDED, NOT_STARTED, TARGETING, Refusal
from api.campaigns.targeting import Targeting
from api.campaigns.words import _WORDS, sentence
from api.explain.moments import iso, local

JAKARTA = ZoneInfo("Asia/Jakarta")
MIDNIGHT_US = 1_795_366_800_000_000  # 2026-11-23 00:00 in Jakarta


def test_every_code_has_words() -> None:
    assert _WORDS.keys() | {NOT_STARTED, ENDED, TARGETING} == set(CODES)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"attribute": "platform", "op": "eq", "value": "ios"}, "platform = ios"),
        ({"attribute": "platform", "op": "eq", "value": ""}, "platform = (empty)"),
        ({"attribute": "platform", "op": "ne", "value": "ios"}, "platform other than ios"),
        ({"attribute": "country", "op": "in", "value": ["ID"]}, "country = ID"),
        ({"attribute": "country", "op": "in", "value": ["ID", "MY", "SG"]}, "country = ID, MY or SG"),
        (
            {"attribute": "attr.n", "op": "in", "value": list(range(9))},
            "attr.n = 0, 1, 2, 3, 4 or one of 4 more",
        ),
        ({"attribute": "country", "op": "not_in", "value": ["ID", "MY"]}, "country other than ID or MY"),
        ({"attribute": "app_version", "op": "gte", "value": "5.2"}, "app_version 5.2 or higher"),
        ({"attribute": "app_version", "op": "gt", "value": "5.2"}, "app_version higher than 5.2"),
        ({"attribute": "attr.age", "op": "lte", "value": 17}, "attr.age 17 or lower"),
        ({"attribute": "attr.age", "op": "lt", "value": 18.5}, "attr.age lower than 18.5"),
        ({"attribute": "locale", "op": "prefix", "value": "id"}, "locale beginning with id"),
        ({"attribute": "attr.vip", "op": "exists"}, "any attr.vip"),
        ({"attribute": "attr.vip", "op": "exists", "value": False}, "no attr.vip"),
        ({"not": {"attribute": "attr.vip", "op": "exists"}}, "not (any attr.vip)"),
        (
            {
                "any": [
                    {"attribute": "platform", "op": "eq", "value": "ios"},
                    {"all": [{"attribute": "country", "op": "eq", "value": "ID"}] * 2},
                ]
            },
            "(platform = ios or (country = ID and country = ID))",
        ),
    ],
)
def test_conditions(tree: dict[str, Any], words: str) -> None:
    assert condition_words(TypeAdapter(Targeting).validate_python(tree)) == words


def test_what_the_request_says() -> None:
    assert given_words({"platform": "web", "country": None}) == "platform = web, no country"


def test_counts_and_ends() -> None:
    capped = Refusal("capped", {"window": "24h", "limit": 3, "count": 3}, MIDNIGHT_US)
    told = sentence(capped, local(MIDNIGHT_US, JAKARTA))
    assert told == "shown 3 times in 24h, the limit is 3; again from 2026-11-23 00:00 WIB"
    stopped = {"after": "dismiss", "count": 1_200, "limit": 1}
    assert sentence(Refusal("stopped", stopped), None) == (
        "the user has dismissed it 1,200 times, and it stops after 1: for good"
    )
    unknown = {"limit": "total", "used": 0, "allowed": 0, "source": "counts"}
    assert sentence(Refusal("out_of_budget", unknown), None).startswith(
        "what its budget has spent is not known"
    )
    young = {"limit": "total", "used": 3, "allowed": 9, "opened": False, "source": "account"}
    assert sentence(Refusal("out_of_budget", young), None).startswith("its budget has just become hard")
    assert sentence(Refusal("not_live", {"status": "live"}), None).startswith("it became live a moment ago")


def test_times_are_never_told_too_early() -> None:
    assert iso(MIDNIGHT_US) == "2026-11-22T17:00:00Z"
    assert iso(MIDNIGHT_US + 1) == "2026-11-22T17:00:00.000001Z"
    assert local(MIDNIGHT_US, JAKARTA) == "2026-11-23 00:00 WIB"
    assert local(MIDNIGHT_US + 1, JAKARTA) == "2026-11-23 00:00:01 WIB"
    assert local(MIDNIGHT_US, ZoneInfo("America/Sao_Paulo")) == "2026-11-22 14:00 -03"
