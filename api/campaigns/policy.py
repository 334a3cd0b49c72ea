"""The policy: what holds for all campaigns of the installation together, as an admin writes it."""

from typing import Any

from pydantic import Field, field_validator

from api.campaigns.fields import Caps, Duration, Percent, Tag, ZoneName
from api.campaigns.targeting import StrictModel


class Limits(StrictModel):
    """Of one user's impressions of a group of campaigns. Windows and durations stay as written."""

    caps: Caps = Field(default=[])
    min_gap: Duration | None = None


class PolicyIn(Limits):
    """`tags` holds limits for the campaigns of a tag, beside those for all."""

    timezone: ZoneName = "UTC"
    tags: dict[Tag, Limits] = Field(default={}, max_length=50)
    holdout_percent: Percent = 0.0

    @field_validator("tags")
    @classmethod
    def _limit_something(cls, tags: dict[str, Limits]) -> dict[str, Limits]:
        for tag, limits in tags.items():
            if not limits.caps and limits.min_gap is None:
                raise ValueError(f"{tag!r} has no limits: give caps or min_gap, or leave the tag out")
        return tags


class Policy(PolicyIn):
    """The stored policy. `version` rises by one with each change (optimistic lock)."""

    version: int = Field(ge=1)


def no_policy() -> Policy:
    """What holds until an admin writes one."""
    return Policy.model_validate({"version": 1})


def document_of(policy: PolicyIn) -> dict[str, Any]:
    """As it is stored."""
    return policy.model_dump(include=set(PolicyIn.model_fields))
