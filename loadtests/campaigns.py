"""Fifty live campaigns as a shop would run them: four placements, 20 of them at `home`."""

from itertools import cycle, islice
from typing import Any, Final

PLACEMENT: Final = "home"
CAMPAIGNS: Final = 50
_AT_HOME: Final = 20
_ELSEWHERE: Final = ("cart", "profile", "checkout")

_CAPS: Final[tuple[list[dict[str, Any]], ...]] = (
    [{"limit": 3, "window": "24h"}, {"limit": 10, "window": "7d"}],
    [{"limit": 2, "window": "day"}, {"limit": 5, "window": "week"}, {"limit": 20, "window": "lifetime"}],
    [{"limit": 1, "window": "day"}, {"limit": 8, "window": "month"}],
    [{"limit": 2, "window": "30m"}, {"limit": 6, "window": "24h"}],
    [{"limit": 5, "window": "lifetime"}],
    [{"limit": 4, "window": "week"}],
    [],
)
_ZONES: Final = ("Asia/Jakarta", "UTC", "Asia/Makassar", "America/New_York")
_TARGETING: Final[tuple[dict[str, Any] | None, ...]] = (
    None,
    {"attribute": "platform", "op": "in", "value": ["android", "ios"]},
    {
        "all": [
            {"attribute": "platform", "op": "eq", "value": "android"},
            {"attribute": "app_version", "op": "gte", "value": "5.0.0"},
            {"not": {"attribute": "country", "op": "eq", "value": "SG"}},
        ]
    },
    None,
    {
        "any": [
            {"attribute": "locale", "op": "prefix", "value": "id"},
            {"attribute": "country", "op": "eq", "value": "MY"},
        ]
    },
    {"attribute": "attr.tier", "op": "in", "value": ["gold", "platinum"]},
)

#: Before the key of each of the many campaigns.
MANY_PREFIX: Final = "many-"
_COUNTRIES: Final = (
    *(
        "ID",
        "SG",
        "MY",
        "TH",
        "VN",
        "PH",
        "BN",
        "KH",
        "LA",
        "MM",
        "TL",
        "AU",
        "NZ",
        "JP",
        "KR",
        "CN",
        "HK",
        "TW",
    ),
    *(
        "IN",
        "BD",
        "LK",
        "NP",
        "PK",
        "AE",
        "SA",
        "QA",
        "TR",
        "EG",
        "ZA",
        "NG",
        "KE",
        "DE",
        "FR",
        "GB",
        "NL",
        "ES",
    ),
    *("IT", "PL", "US", "BR"),
)

#: Query strings of the app's different builds and users; few are different, as in life.
QUERIES: Final = tuple(
    f"placement={PLACEMENT}&platform={platform}&app_version={version}&locale={locale}"
    f"&country={country}&attr.tier={tier}"
    for platform in ("android", "android", "ios")
    for version in ("5.2.1", "5.1.0", "4.9.3")
    for locale, country in (("id-ID", "ID"), ("en-SG", "SG"))
    for tier in ("gold", "basic")
)


def campaigns() -> list[dict[str, Any]]:
    """The documents for `POST /v1/admin/campaigns`, placements mixed."""
    return [_campaign(number) for number in range(CAMPAIGNS)]


def many(count: int) -> list[dict[str, Any]]:
    """So many more of the same kinds, each for one country: a request can match one of forty."""
    return [_for_one_country(number) for number in range(count)]


def listed(campaign: dict[str, Any]) -> bool:
    return bool(campaign["audience"] == "listed")


def _campaign(number: int) -> dict[str, Any]:
    # 2 of 5 at home: 20 of 50.
    at_home = number % 5 < _AT_HOME * 5 // CAMPAIGNS
    placement = PLACEMENT if at_home else _ELSEWHERE[number % len(_ELSEWHERE)]
    return {
        "key": f"bench-{number:02d}",
        "name": f"Bench {number}",
        "status": "live",
        "priority": 10 * (1 + number % 4),
        "placement": placement,
        "starts_at": "2026-01-01T00:00:00+07:00",
        "timezone": _ZONES[number % len(_ZONES)],
        "audience": "listed" if number % 10 == 5 else "everyone",
        "targeting": _TARGETING[number % len(_TARGETING)],
        "caps": _CAPS[number % len(_CAPS)],
        "cooldown": "30m" if number % 8 == 1 else None,
        "variants": [_variant(number, key) for key in islice(cycle("ab"), 1 + number % 2)],
    }


def _for_one_country(number: int) -> dict[str, Any]:
    country = {"attribute": "country", "op": "eq", "value": _COUNTRIES[number // 5 % len(_COUNTRIES)]}
    campaign = _campaign(number)
    return {
        **campaign,
        "key": f"{MANY_PREFIX}{number:05d}",
        "audience": "everyone",
        "targeting": {"all": [country, *([campaign["targeting"]] if campaign["targeting"] else [])]},
    }


def _variant(number: int, key: str) -> dict[str, Any]:
    content = {
        "title": f"Promo {number}: up to 70% off",
        "body": "Only this week, in every category. Free delivery above Rp 50.000.",
        "image_url": f"https://cdn.example.com/campaigns/{number}/{key}.webp",
        "action_url": f"shop://campaign/{number}?from=popup",
    }
    return {"key": key, "weight": 50, "content": content}
