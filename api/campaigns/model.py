"""The campaign as the admin API takes it and as the catalog holds it, validated field by field."""

import json
import math
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api.campaigns.targeting import StrictModel, Targeting, check_storable
from api.campaigns.windows import parse_duration, parse_window

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# The counts keep the 64 newest times of each user and campaign, so a windowed cap can't look further back.
MAX_WINDOWED_LIMIT = 64
MAX_LIFETIME_LIMIT = 1_000_000_000
MAX_BUDGET = 1_000_000_000
MAX_CONTENT_DEPTH = 10
MAX_CONTENT_BYTES = 16 * 1024

_SLUG = r"^[a-z0-9][a-z0-9-]*$"
_YEARS = range(1970, 9999)
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)


def _written_out(value: Any) -> Any:
    """Pydantic would take a number, or a text of digits, as seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_AND_TIME.match(value)):
        return value
    raise ValueError("write a date, a time and an offset, such as '2026-11-01T00:00:00+07:00'")


def _in_range(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")
    return moment


def _window(text: str) -> str:
    parse_window(text)
    return text


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _zone_name(name: str) -> str:
    # "localtime" is whatever the machine is set to.
    if name not in _zone_names() or name == "localtime":
        raise ValueError(
            f"{name[:40]!r} is not a time zone: write an IANA name such as 'Asia/Jakarta' or 'UTC'"
        )
    return name


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # Reading the list takes 40 ms. ZoneInfo() itself would accept "asia/jakarta" on some systems.
    return frozenset(available_timezones())


def _unique_days(days: list[Weekday]) -> list[Weekday]:
    if len(set(days)) < len(days):
        raise ValueError("name each day once")
    return days


Instant = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_in_range)
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(check_storable)]


class Daypart(StrictModel):
    """From `from` until just before `to`, wall time; a `to` not after `from` is on the next day."""

    days: Annotated[list[Weekday], Field(min_length=1, max_length=7), AfterValidator(_unique_days)]
    from_: str = Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    to: str = Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")


class Cap(StrictModel):
    # The window first: what the limit may be depends on it.
    window: Annotated[str, AfterValidator(_window)]
    limit: int = Field(ge=1, le=MAX_LIFETIME_LIMIT)

    @field_validator("limit")
    @classmethod
    def _can_be_counted(cls, limit: int, info: ValidationInfo) -> int:
        if limit > MAX_WINDOWED_LIMIT and info.data.get("window", "lifetime") != "lifetime":
            raise ValueError(f"must be at most {MAX_WINDOWED_LIMIT}, except with window 'lifetime'")
        return limit


class Budget(StrictModel):
    """How many impressions of all users together. Within `hard`, not one more; else about so many."""

    total: int | None = Field(default=None, ge=1, le=MAX_BUDGET)
    per_day: int | None = Field(default=None, ge=1, le=MAX_BUDGET, description="by the campaign's timezone")
    pacing: Literal["asap"] = "asap"
    hard: bool = False

    @field_validator("pacing", mode="before")
    @classmethod
    def _known_pacing(cls, pacing: Any) -> Any:
        if pacing == "even":
            raise ValueError("'even' is not available yet: write 'asap', or leave it out")
        return pacing

    @model_validator(mode="after")
    def _has_a_limit(self) -> "Budget":
        if self.total is None and self.per_day is None:
            raise ValueError("needs a limit: give total, per_day, or both")
        return self


class Variant(StrictModel):
    key: str = Field(pattern=_SLUG, max_length=32)
    weight: int = Field(ge=0, le=1_000_000)
    content: dict[str, Any]

    @field_validator("content")
    @classmethod
    def _can_be_kept(cls, content: dict[str, Any]) -> dict[str, Any]:
        _check_json(content, "content", depth=1)
        size = len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MAX_CONTENT_BYTES:
            raise ValueError(
                f"is {size} bytes as JSON, the limit is {MAX_CONTENT_BYTES}: link to large parts"
            )
        return content


class CampaignIn(StrictModel):
    """What an admin writes. Windows and durations stay as written: "24h" comes back as "24h"."""

    key: str = Field(pattern=_SLUG, max_length=64)
    name: Name
    status: Literal["draft", "live", "paused", "archived"] = "draft"
    priority: int = Field(default=100, ge=0, le=1_000_000, description="lower is shown first")
    placement: str = Field(pattern=_SLUG, max_length=64)
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    timezone: Annotated[str, AfterValidator(_zone_name)] = "UTC"
    schedule: list[Daypart] = Field(default=[], max_length=50)
    audience: Literal["everyone", "listed"] = "everyone"
    targeting: Targeting | None = None
    caps: list[Cap] = Field(default=[], max_length=10)
    cooldown: Annotated[str, AfterValidator(_duration)] | None = None
    budget: Budget | None = None
    variants: list[Variant] = Field(min_length=1, max_length=20)

    @field_validator("ends_at")
    @classmethod
    def _after_the_start(cls, ends_at: datetime | None, info: ValidationInfo) -> datetime | None:
        starts_at = info.data.get("starts_at")
        if ends_at is not None and starts_at is not None and ends_at <= starts_at:
            raise ValueError("must be after starts_at")
        return ends_at

    @field_validator("caps")
    @classmethod
    def _one_cap_a_window(cls, caps: list[Cap]) -> list[Cap]:
        seen: dict[Any, str] = {}
        for cap in caps:
            window = parse_window(cap.window)
            if window in seen:
                raise ValueError(f"{seen[window]!r} and {cap.window!r} are one window: keep the lower limit")
            seen[window] = cap.window
        return caps

    @field_validator("variants")
    @classmethod
    def _can_be_drawn(cls, variants: list[Variant]) -> list[Variant]:
        if len({variant.key for variant in variants}) < len(variants):
            raise ValueError("each variant needs a key of its own")
        if not any(variant.weight for variant in variants):
            raise ValueError("at least one variant needs a weight above 0")
        return variants


class Campaign(CampaignIn):
    """A stored campaign. `version` rises by one with each change (optimistic lock)."""

    id: int = Field(ge=1)
    version: int = Field(ge=1)
    created_at: Instant
    updated_at: Instant


def apply_patch(current: CampaignIn, patch: dict[str, Any]) -> CampaignIn:
    """RFC 7396 for the top level: a field replaces the current one whole, null resets it to its default.

    Raises ValidationError, located at the field, as for a whole campaign; also for null without a default.
    """
    fields = CampaignIn.model_fields
    merged = current.model_dump(include=set(fields))
    for field, value in patch.items():
        if value is None and field in fields:
            del merged[field]
        else:
            merged[field] = value
    return CampaignIn.model_validate(merged)


def _check_json(value: Any, path: str, depth: int) -> None:
    """ValueError naming the path of what isn't JSON or can't be stored as jsonb."""
    path = path[:200]  # its keys are a stranger's, of any length
    if isinstance(value, (dict, list)) and depth > MAX_CONTENT_DEPTH:
        raise ValueError(f"{path} is nested deeper than {MAX_CONTENT_DEPTH} levels")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key of {path} is a {type(key).__name__}, which is not JSON")  # noqa: TRY004
            _check_json(key, f"a key of {path}", depth)
            _check_json(each, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check_json(each, f"{path}.{index}", depth + 1)
    else:
        _check_scalar(value, path)


def _check_scalar(value: Any, path: str) -> None:
    if isinstance(value, str):
        try:
            check_storable(value)
        except ValueError as error:
            raise ValueError(f"{path} {error}") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}, which is not a JSON number")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise ValueError(f"{path} is a {type(value).__name__}, which is not JSON")
