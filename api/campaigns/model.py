"""The campaign as the admin API takes it and as the catalog holds it, validated field by field."""

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from api.campaigns.content import MAX_CONTENT_BYTES, check_json
from api.campaigns.fields import (
    SLUG,
    Budget,
    Caps,
    Daypart,
    Duration,
    Instant,
    Name,
    Percent,
    StopAfter,
    Tags,
    ZoneName,
)
from api.campaigns.targeting import StrictModel, Targeting


class Variant(StrictModel):
    key: str = Field(pattern=SLUG, max_length=32)
    weight: int = Field(ge=0, le=1_000_000)
    content: dict[str, Any]

    @field_validator("content")
    @classmethod
    def _can_be_kept(cls, content: dict[str, Any]) -> dict[str, Any]:
        check_json(content, "content", depth=1)
        size = len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MAX_CONTENT_BYTES:
            raise ValueError(
                f"is {size} bytes as JSON, the limit is {MAX_CONTENT_BYTES}: link to large parts"
            )
        return content


class CampaignIn(StrictModel):
    """What an admin writes. Windows and durations stay as written: "24h" comes back as "24h"."""

    key: str = Field(pattern=SLUG, max_length=64)
    name: Name
    status: Literal["draft", "live", "paused", "archived"] = "draft"
    priority: int = Field(default=100, ge=0, le=1_000_000, description="lower is shown first")
    placement: str = Field(pattern=SLUG, max_length=64)
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    timezone: ZoneName = "UTC"
    schedule: list[Daypart] = Field(default=[], max_length=50)
    schedule_timezone: Literal["campaign", "user"] = "campaign"
    audience: Literal["everyone", "listed"] = "everyone"
    targeting: Targeting | None = None
    caps: Caps = Field(default=[])
    cooldown: Duration | None = None
    stop_after: StopAfter | None = None
    tags: Tags = Field(default=[])
    exempt: bool = Field(default=False, description="from the policy and the global holdout")
    counts_for_policy: bool = True
    budget: Budget | None = None
    holdout_percent: Percent = 0.0
    variants: list[Variant] = Field(min_length=1, max_length=20)

    @field_validator("ends_at")
    @classmethod
    def _after_the_start(cls, ends_at: datetime | None, info: ValidationInfo) -> datetime | None:
        starts_at = info.data.get("starts_at")
        if ends_at is not None and starts_at is not None and ends_at <= starts_at:
            raise ValueError("must be after starts_at")
        return ends_at

    @field_validator("budget")
    @classmethod
    def _has_a_curve(cls, budget: Budget | None, info: ValidationInfo) -> Budget | None:
        if budget is not None and budget.pacing == "even" and budget.per_day is None:
            flight = ("starts_at", "ends_at")
            # A time that was refused is not among the data: that error is enough.
            if any(info.data.get(name, "refused") is None for name in flight):
                raise ValueError("pacing 'even' needs per_day, or a campaign with starts_at and ends_at")
        return budget

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
