"""Each bad field is refused at its own place; what is accepted comes back as it was written."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from api.campaigns.model import Campaign, CampaignIn, apply_patch

VARIANT = {"key": "a", "weight": 50, "content": {"title": "Sale", "body": "…", "items": [1, 2.5, None, True]}}
SLOT = {"days": ["mon", "tue"], "from": "08:00", "to": "22:00"}
FULL: dict[str, Any] = {
    "key": "ramadan-sale",
    "name": "Ramadan sale",
    "status": "live",
    "priority": 10,
    "placement": "home",
    "starts_at": "2026-11-01T00:00:00+07:00",
    "ends_at": "2026-12-01T00:00:00Z",
    "timezone": "Asia/Jakarta",
    "schedule": [SLOT, {"days": ["sun"], "from": "22:00", "to": "24:00"}],
    "schedule_timezone": "user",
    "audience": "listed",
    "targeting": {
        "all": [
            {"attribute": "platform", "op": "in", "value": ["android"]},
            {"any": [{"attribute": "app_version", "op": "gte", "value": "5.2.0"}]},
            {"not": {"attribute": "country", "op": "eq", "value": "SG"}},
        ]
    },
    "caps": [
        {"limit": 3, "window": "24h"},
        {"limit": 5, "window": "week"},
        {"limit": 1000, "window": "lifetime"},
        {"limit": 1, "window": "session"},
    ],
    "cooldown": "30m",
    "stop_after": {"click": 1, "dismiss": {"count": 2, "for": "7d"}},
    "tags": ["promo", "ramadan"],
    "exempt": True,
    "counts_for_policy": False,
    "budget": {"total": 100_000, "per_day": 5_000, "pacing": "asap", "hard": True},
    "holdout_percent": 2.5,
    "variants": [VARIANT, {"key": "b", "weight": 0, "content": {}}],
}
LEAST = {"key": "a", "name": "A", "placement": "home", "variants": [VARIANT]}


def with_content(content: Any) -> list[dict[str, Any]]:
    return [{**VARIANT, "content": content}]


def nested(depth: int) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for _ in range(depth - 1):
        content = {"a": content}
    return content


def locations(error: ValidationError) -> list[tuple[str | int, ...]]:
    return [each["loc"] for each in error.errors()]


def test_comes_back_as_written() -> None:
    campaign = CampaignIn.model_validate(FULL)
    assert campaign.model_dump(mode="json") == FULL
    assert CampaignIn.model_validate_json(json.dumps(FULL)) == campaign
    assert CampaignIn.model_validate(campaign.model_dump()) == campaign
    assert CampaignIn.model_validate_json(campaign.model_dump_json()) == campaign


def test_defaults() -> None:
    assert CampaignIn.model_validate(LEAST).model_dump(mode="json") == {
        **LEAST,
        "status": "draft",
        "priority": 100,
        "starts_at": None,
        "ends_at": None,
        "timezone": "UTC",
        "schedule": [],
        "schedule_timezone": "campaign",
        "audience": "everyone",
        "targeting": None,
        "caps": [],
        "cooldown": None,
        "stop_after": None,
        "tags": [],
        "exempt": False,
        "counts_for_policy": True,
        "holdout_percent": 0.0,
        "budget": None,
    }


GOOD = [
    ("key", "0" + "-" * 63),
    ("key", "2026-sale"),
    ("name", "é" * 200),
    ("name", "ลดราคา 🎉"),
    ("priority", 0),
    ("priority", 1_000_000),
    ("placement", "p" * 64),
    ("status", "archived"),
    ("timezone", "America/Argentina/Buenos_Aires"),
    ("schedule", [SLOT] * 50),
    ("schedule", [{"days": ["fri"], "from": "22:00", "to": "02:00"}]),
    ("schedule", [{"days": ["fri"], "from": "00:00", "to": "00:00"}]),
    ("caps", [{"window": "1s", "limit": 64}]),
    ("caps", [{"window": "lifetime", "limit": 1_000_000_000}]),
    ("caps", [{"window": f"{n}h", "limit": 1} for n in range(1, 11)]),
    ("cooldown", "366d"),
    ("budget", {"total": 1, "per_day": None, "pacing": "asap", "hard": False}),
    ("budget", {"total": None, "per_day": 1_000_000_000, "pacing": "asap", "hard": True}),
    ("budget", {"total": None, "per_day": 24, "pacing": "even", "hard": False}),
    ("stop_after", {"convert": 1_000_000}),
    ("stop_after", {"click": {"count": 1, "for": "366d"}}),
    ("tags", [f"t{n}" for n in range(10)]),
    ("holdout_percent", 100.0),
    ("schedule_timezone", "user"),
    ("targeting", {"all": []}),
    ("variants", [{**VARIANT, "key": f"v{n}"} for n in range(20)]),
    ("variants", [{**VARIANT, "key": "k" * 32, "weight": 1_000_000}]),
    ("variants", with_content({})),
    ("variants", with_content(nested(10))),
    ("variants", with_content({"t": "x" * (16 * 1024 - len('{"t":""}'))})),
    ("variants", with_content({"t": "é" * 8_000})),
    ("variants", with_content({"🎉": "🎉 \u2028 \x01"})),
]


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_good_field(field: str, value: Any) -> None:
    assert CampaignIn.model_validate({**LEAST, field: value}).model_dump(mode="json")[field] == value


BAD: list[tuple[str, Any, tuple[str | int, ...]]] = [
    ("key", "", ()),
    ("key", "Sale", ()),
    ("key", "-sale", ()),
    ("key", "sale_1", ()),
    ("key", "sale\n", ()),
    ("key", "s" * 65, ()),
    ("key", 1, ()),
    ("key", None, ()),
    ("name", "", ()),
    ("name", "  ", ()),
    ("name", "n" * 201, ()),
    ("name", "a\0b", ()),
    ("name", "a\ud800b", ()),
    ("name", 5, ()),
    ("status", "on", ()),
    ("status", None, ()),
    ("priority", -1, ()),
    ("priority", 1_000_001, ()),
    ("priority", "10", ()),
    ("priority", 1.0, ()),
    ("priority", True, ()),
    ("placement", "Home", ()),
    ("placement", "p" * 65, ()),
    ("starts_at", "2026-11-01T00:00:00", ()),
    ("starts_at", "2026-11-01", ()),
    ("starts_at", "2026-13-01T00:00:00Z", ()),
    ("starts_at", "1767225600", ()),
    ("starts_at", 1_767_225_600, ()),
    ("starts_at", "1969-12-31T23:59:59Z", ()),
    ("starts_at", "9999-01-01T00:00:00Z", ()),
    ("starts_at", datetime(2026, 11, 1), ()),  # noqa: DTZ001
    ("ends_at", "tomorrow", ()),
    ("timezone", "Asia/Djakarta", ()),
    ("timezone", "asia/jakarta", ()),
    ("timezone", "WIB", ()),
    ("timezone", "+07:00", ()),
    ("timezone", "", ()),
    ("timezone", "America", ()),
    ("timezone", "../../etc/localtime", ()),
    ("timezone", "localtime", ()),
    ("timezone", "UTC\0", ()),
    ("timezone", None, ()),
    ("schedule", [SLOT] * 51, ()),
    ("schedule", SLOT, ()),
    ("schedule", [SLOT, {**SLOT, "days": []}], (1, "days")),
    ("schedule", [{**SLOT, "days": ["monday"]}], (0, "days", 0)),
    ("schedule", [{**SLOT, "days": ["mon", "mon"]}], (0, "days")),
    ("schedule", [{**SLOT, "from": "8:00"}], (0, "from")),
    ("schedule", [{**SLOT, "from": "24:00"}], (0, "from")),
    ("schedule", [{**SLOT, "from": 480}], (0, "from")),
    ("schedule", [{**SLOT, "to": "24:01"}], (0, "to")),
    ("schedule", [{**SLOT, "to": "22:60"}], (0, "to")),
    ("schedule", [{**SLOT, "to": "22:00\n"}], (0, "to")),
    ("schedule", [{"days": ["mon"], "to": "22:00"}], (0, "from")),
    ("schedule", [{**SLOT, "from_": "08:00"}], (0, "from_")),
    ("audience", "all", ()),
    ("targeting", {}, ()),
    ("targeting", {"any": []}, ("any",)),
    ("targeting", {"all": [{"attribute": "platform", "op": "in", "value": []}]}, ("all", 0, "value")),
    ("caps", [{"limit": 0, "window": "day"}], (0, "limit")),
    ("caps", [{"limit": 65, "window": "day"}], (0, "limit")),
    ("caps", [{"limit": 65, "window": "24h"}], (0, "limit")),
    ("caps", [{"limit": 1_000_000_001, "window": "lifetime"}], (0, "limit")),
    ("caps", [{"limit": True, "window": "day"}], (0, "limit")),
    ("caps", [{"limit": "3", "window": "day"}], (0, "limit")),
    ("caps", [{"limit": 3, "window": "fortnight"}], (0, "window")),
    ("caps", [{"limit": 3, "window": "0s"}], (0, "window")),
    ("caps", [{"limit": 3, "window": "367d"}], (0, "window")),
    ("caps", [{"limit": 3}], (0, "window")),
    ("caps", [{"limit": 3, "window": "day"}, {"limit": 4, "window": "day"}], ()),
    ("caps", [{"limit": 3, "window": "24h"}, {"limit": 4, "window": "1d"}], ()),
    ("caps", [{"limit": 1, "window": f"{n}h"} for n in range(1, 12)], ()),
    ("budget", {}, ()),
    ("budget", {"total": None, "hard": True}, ()),
    ("budget", {"total": 0}, ("total",)),
    ("budget", {"total": 1_000_000_001}, ("total",)),
    ("budget", {"total": "5"}, ("total",)),
    ("budget", {"per_day": 0}, ("per_day",)),
    ("budget", {"total": 5, "pacing": "even"}, ()),
    ("budget", {"per_day": 5, "pacing": "even", "hard": True}, ()),
    ("budget", {"per_day": 5, "pacing": "slow"}, ("pacing",)),
    ("stop_after", {}, ()),
    ("stop_after", 1, ()),
    ("stop_after", {"click": 0}, ("click", "count")),
    ("stop_after", {"click": True}, ("click",)),
    ("stop_after", {"open": 1}, ("open",)),
    ("stop_after", {"dismiss": {"count": 1, "for": "week"}}, ("dismiss", "for")),
    ("tags", ["promo", "promo"], ()),
    ("tags", ["Promo"], (0,)),
    ("tags", [f"t{n}" for n in range(11)], ()),
    ("exempt", 1, ()),
    ("counts_for_policy", "no", ()),
    ("schedule_timezone", "Asia/Jakarta", ()),
    ("holdout_percent", -0.1, ()),
    ("holdout_percent", 100.1, ()),
    ("holdout_percent", "5", ()),
    ("holdout_percent", True, ()),
    ("budget", {"total": 5, "hard": 1}, ("hard",)),
    ("budget", {"total": 5, "spent": 1}, ("spent",)),
    ("budget", 5, ()),
    ("cooldown", "day", ()),
    ("cooldown", "30", ()),
    ("cooldown", 30, ()),
    ("variants", [], ()),
    ("variants", [VARIANT, VARIANT], ()),
    ("variants", [{**VARIANT, "weight": 0}], ()),
    ("variants", [{**VARIANT, "key": f"v{n}"} for n in range(21)], ()),
    ("variants", [{**VARIANT, "key": "A"}], (0, "key")),
    ("variants", [{**VARIANT, "key": "k" * 33}], (0, "key")),
    ("variants", [{**VARIANT, "weight": -1}], (0, "weight")),
    ("variants", [{**VARIANT, "weight": 1_000_001}], (0, "weight")),
    ("variants", [{**VARIANT, "weight": 0.5}], (0, "weight")),
    ("variants", with_content([]), (0, "content")),
    ("variants", with_content("{}"), (0, "content")),
    ("variants", with_content(None), (0, "content")),
    ("variants", with_content(nested(11)), (0, "content")),
    ("variants", with_content(nested(50_000)), (0, "content")),
    ("variants", with_content({"a": [[[[[[[[[[]]]]]]]]]]}), (0, "content")),
    ("variants", with_content({"t": "x" * (16 * 1024 - len('{"t":""}') + 1)}), (0, "content")),
    ("variants", with_content({"t": "é" * 8200}), (0, "content")),
    ("variants", with_content({"a": [{"b": "\0"}]}), (0, "content")),
    ("variants", with_content({"a": [{"b": "\udfff"}]}), (0, "content")),
    ("variants", with_content({"a": [{"\0": 1}]}), (0, "content")),
    ("variants", with_content({"\ud83c": 1}), (0, "content")),
    ("variants", with_content({"a": float("nan")}), (0, "content")),
    ("variants", with_content({"a": [float("-inf")]}), (0, "content")),
    ("variants", with_content({"a": 10**5000}), (0, "content")),
    ("variants", with_content({"a": {1: 2}}), (0, "content")),
    ("variants", with_content({"a": b"x"}), (0, "content")),
    ("id", 1, ()),
]


@pytest.mark.parametrize(("field", "value", "inside"), BAD)
def test_bad_field_is_refused_at_its_place(field: str, value: Any, inside: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        CampaignIn.model_validate({**LEAST, field: value})
    assert locations(refused.value) == [(field, *inside)]


@pytest.mark.parametrize("field", LEAST)
def test_missing_field_is_named(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CampaignIn.model_validate({name: value for name, value in LEAST.items() if name != field})
    assert locations(refused.value) == [(field,)]


@pytest.mark.parametrize(
    "ends_at", ["2026-11-01T00:00:00+07:00", "2026-10-31T17:00:00Z", "2026-10-31T16:59:59Z"]
)
def test_the_end_is_after_the_start(ends_at: str) -> None:
    with pytest.raises(ValidationError, match="must be after starts_at") as refused:
        CampaignIn.model_validate({**FULL, "ends_at": ends_at})
    assert locations(refused.value) == [("ends_at",)]


def test_bad_fields_are_all_named_at_once() -> None:
    bad = {**FULL, "key": "", "priority": "x", "caps": [{"limit": 0, "window": "x"}]}
    with pytest.raises(ValidationError) as refused:
        CampaignIn.model_validate(bad)
    assert locations(refused.value) == [("key",), ("priority",), ("caps", 0, "window"), ("caps", 0, "limit")]


def test_content_error_names_the_place_inside() -> None:
    with pytest.raises(ValidationError, match=r"content\.a\.1\.b contains a NUL"):
        CampaignIn.model_validate({**LEAST, "variants": with_content({"a": [1, {"b": "\0"}]})})


def test_a_stored_campaign_is_a_campaign_with_its_version() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    stored = {**FULL, "id": 7, "version": 3, "created_at": now, "updated_at": now}
    campaign = Campaign.model_validate(stored)
    assert (campaign.id, campaign.version, campaign.created_at) == (7, 3, now)
    assert campaign.starts_at == datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=7)))
    for field in ("id", "version", "created_at", "updated_at"):
        with pytest.raises(ValidationError) as refused:
            Campaign.model_validate({**stored, field: None})
        assert locations(refused.value) == [(field,)]


def test_a_patch_replaces_whole_fields_and_keeps_the_rest() -> None:
    current = CampaignIn.model_validate(FULL)
    patched = apply_patch(current, {"priority": 5, "caps": [{"limit": 1, "window": "day"}]})
    expected = {**FULL, "priority": 5, "caps": [{"limit": 1, "window": "day"}]}
    assert patched.model_dump(mode="json") == expected
    assert current.model_dump(mode="json") == FULL
    assert apply_patch(current, {}) == current


def test_null_in_a_patch_resets_to_the_default() -> None:
    current = CampaignIn.model_validate(FULL)
    optional = [field for field in FULL if field not in LEAST]
    patched = apply_patch(current, dict.fromkeys(optional))
    kept = {field: FULL[field] for field in LEAST}
    assert patched == CampaignIn.model_validate(kept)


@pytest.mark.parametrize(
    ("patch", "location"),
    [
        ({"variants": None}, ("variants",)),
        ({"key": None}, ("key",)),
        ({"daily_budget": None}, ("daily_budget",)),
        ({"id": 9}, ("id",)),
        ({"starts_at": "2027-01-01T00:00:00Z"}, ("ends_at",)),
        ({"targeting": {"any": []}}, ("targeting", "any")),
    ],
)
def test_a_bad_patch_is_refused_at_its_place(patch: dict[str, Any], location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        apply_patch(CampaignIn.model_validate(FULL), patch)
    assert locations(refused.value) == [location]


def test_a_patch_of_a_stored_campaign_gives_the_part_an_admin_writes() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    stored = Campaign.model_validate({**FULL, "id": 7, "version": 3, "created_at": now, "updated_at": now})
    assert type(apply_patch(stored, {"name": "New"})) is CampaignIn
    assert apply_patch(stored, {"name": "New"}).name == "New"


def test_the_schema_for_the_api_documentation_can_be_made() -> None:
    schema = CampaignIn.model_json_schema(by_alias=True)
    assert set(schema["properties"]) == set(FULL)
    assert set(schema["$defs"]["Daypart"]["properties"]) == {"days", "from", "to"}
    assert schema["additionalProperties"] is False
