"""Answers about what came of campaigns: the report, and why one user sees what he sees."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class Figures(BaseModel):
    """Events, late ones among them, and users (`new_…`) for whom it was the first of its kind."""

    impressions: int
    late_impressions: int
    clicks: int
    dismissals: int
    conversions: int
    late_events: int
    new_users: int
    new_clickers: int
    new_dismissers: int
    new_converters: int
    ctr: float | None = Field(description="clicks by impressions; null without impressions")


class Group(BaseModel):
    users: int
    converted: int
    rate: float | None


class Estimate(BaseModel):
    value: float
    low: float
    high: float


class Lift(BaseModel):
    """How many more convert because they were shown the campaign."""

    shown: Group
    held_out: Group
    problem: Literal["no_holdout", "not_comparable", "too_few"] | None = Field(
        description="why nothing is compared; then `difference` and `relative` are null"
    )
    confidence: float
    difference: Estimate | None
    relative: Estimate | None


class VariantFigures(Figures):
    variant: str


class VariantLift(VariantFigures):
    lift: Lift


class DayFigures(Figures):
    day: date
    variants: list[VariantFigures]


class Frequency(BaseModel):
    times: int = Field(description="64: or more")
    users: int


class ReasonRequests(BaseModel):
    reason: str
    requests: int


class Report(BaseModel):
    campaign: str
    name: str
    timezone: str
    from_: date = Field(alias="from")
    to: date
    as_of: datetime
    total: Figures
    reach: int = Field(description="users who have ever seen it, each once")
    frequency: list[Frequency]
    lift: Lift
    variants: list[VariantLift]
    days: list[DayFigures] = Field(description="those with any event")
    no_shows: list[ReasonRequests]


class Again(BaseModel):
    at: datetime
    local: str = Field(description="on the campaign's clock", examples=["2026-11-23 00:00 WIB"])


class Reason(BaseModel):
    code: str
    detail: dict[str, Any] = Field(description="the figures that were counted")
    again_from: Again | None = Field(description="when this rule passes if nothing happens")
    text: str = Field(description="all of it in a sentence")


class Counts(BaseModel):
    impressions: int
    clicks: int
    dismissals: int
    conversions: int
    last_shown_at: datetime | None
    ghosts: bool = Field(description="what was held back was counted instead")


class Order(BaseModel):
    priority: int
    last_shown_at: datetime | None
    tie_break: str
    why: str | None


class ExplainedCampaign(BaseModel):
    campaign: str
    id: int
    status: str
    priority: int
    verdict: str = Field(description="`shown`, or the decisive code")
    rank: int | None
    variant: str | None
    counts: Counts | None
    reasons: list[Reason] = Field(description="every rule that fails, the decisive one first")
    again_from: Again | None
    order: Order | None


class Explanation(BaseModel):
    user_id: str
    placement: str
    at: datetime
    as_of: datetime
    age_seconds: float
    source: str = Field(description="the server that the counts were read from")
    pending_events: int
    test_user: bool
    globally_held_out: bool
    popups: list[str] = Field(description="what a request would get now, in order")
    campaigns: list[ExplainedCampaign]
