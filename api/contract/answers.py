"""What the service answers, where the code has no model of it. Tests hold real answers against these.

None of them forbids further members: within `v1` answers may get new ones.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.access.table import Scope
from api.admin.audience_lines import MAX_PROBLEMS
from api.admin.audience_load import Mode
from api.admin.audit import Kind
from api.admin.validation import MAX_ERRORS
from api.campaigns import model, policy
from api.campaigns.fields import Instant


def _always_all(schema: dict[str, Any]) -> None:
    schema["required"] = list(schema["properties"])


class Problem(BaseModel):
    """An error (RFC 9457). Branch on `code`; `detail` says what to do."""

    type: str = Field(examples=["about:blank"])
    title: str
    status: int = Field(ge=400, le=599)
    code: str = Field(description="stable; there may come new ones", examples=["bad_parameter"])
    detail: str
    parameter: str = Field(default="", description="the parameter that is wrong")
    errors: list["FieldError | LineError"] = Field(
        default=[],
        max_length=MAX_ERRORS,
        description="with `invalid` the fields, with `audience_invalid` the lines",
    )
    bad_lines: int = Field(default=0, description="with `audience_invalid`")
    current_version: int = Field(default=0, description="with `version_conflict`")
    limited: str = Field(default="", description="with `rate_limited`: whose rate it is")
    max_bytes: int = Field(default=0, description="with `too_large`")
    expected_offset: int = Field(default=0, description="with `mismatching_upload_offset`: go on there")
    provided_offset: int = Field(default=0, description="with `mismatching_upload_offset`")
    received_bytes: int = Field(default=0, description="with `inconsistent_upload_length`")
    file_bytes: int = Field(default=0, description="with `inconsistent_upload_length`")


class FieldError(BaseModel):
    field: str = Field(description="such as `caps.0.limit`")
    code: str
    detail: str


class LineError(BaseModel):
    line: int = Field(description="from 1")
    detail: str


class Popup(BaseModel):
    campaign: str
    variant: str
    placement: str
    priority: int
    content: dict[str, Any] = Field(description="as the marketer wrote it")
    token: str = Field(description="opaque, at most 320 characters: send it back when the popup was shown")
    expires_at: datetime = Field(description="not to be shown later")
    preview: bool = Field(default=False, description="true for a preview; else left out")


class HeldOut(BaseModel):
    campaign: str
    variant: str
    token: str = Field(description="for `convert` alone")


class Popups(BaseModel):
    popups: list[Popup] = Field(description="in the order in which to show them")
    held_out: list[HeldOut] = Field(default=[], description="not to be shown; left out if empty")
    as_of: datetime = Field(description="the newest merge that the counts include")
    next_fetch_seconds: int


class Rejection(BaseModel):
    index: int = Field(ge=0, description="of the event in the list")
    code: str
    detail: str


class Accepted(BaseModel):
    accepted: int = Field(ge=0)
    rejected: list[Rejection]


class Campaign(model.Campaign):
    model_config = ConfigDict(extra="ignore", json_schema_extra=_always_all)


class CampaignPage(BaseModel):
    campaigns: list[Campaign] = Field(description="by ascending id")
    next_cursor: str | None = Field(description="the `cursor` of the next page; null on the last")


class Policy(policy.Policy):
    """What holds for all campaigns together. `version` rises by one with each change."""

    model_config = ConfigDict(extra="ignore", json_schema_extra=_always_all)

    updated_at: Instant


class AudienceSize(BaseModel):
    members: int = Field(ge=0)


class AudienceUpload(BaseModel):
    campaign: str
    mode: Mode
    lines: int = Field(description="with a user id")
    members: int = Field(description="in the whole audience, now")
    added: int
    removed: int
    duplicates: int = Field(description="lines that repeat a user id of the file")


class ResumableUpload(BaseModel):
    """An audience's file that comes in parts."""

    id: UUID
    campaign: str
    mode: Mode
    state: Literal["open", "applied"]
    offset: int = Field(ge=0, description="bytes that are here: the next part begins there")
    length: int | None = Field(description="bytes of the whole file, if they were told")
    crc32: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] = Field(description="of the bytes up to `offset`")
    lines: int = Field(description="with a user id, as far as it is here")
    bad_lines: int
    errors: list[LineError] = Field(max_length=MAX_PROBLEMS, description="the first bad lines")
    created_at: datetime
    expires_at: datetime = Field(description="each part puts it off")
    result: AudienceUpload | None = Field(description="once it is applied")


class ResumableUploads(BaseModel):
    uploads: list[ResumableUpload] = Field(description="those that are open, the oldest first")


class Removed(BaseModel):
    """Rows, by where they were."""

    audience: int = Field(ge=0)
    counts: int = Field(ge=0)
    quarantine: int = Field(ge=0)
    test_users: int = Field(ge=0)
    log: int = Field(default=0, ge=0, description="once it has been searched; until then left out")


class Erasure(BaseModel):
    id: UUID
    status: Literal["erasing", "erased"] = Field(description="erased: the log has been searched, too")
    erased_at: datetime = Field(description="nothing of before counts for the user any more")
    done_at: datetime | None
    removed: Removed


class Preview(BaseModel):
    preview: str
    expires_at: datetime
    path: str = Field(description="what the phone asks for")


class DayReason(BaseModel):
    day: date
    reason: str
    requests: int


class NoShows(BaseModel):
    campaign: str
    days: list[DayReason]


class TestUser(BaseModel):
    user_id: str
    note: str
    created_at: datetime


class TestUserPage(BaseModel):
    test_users: list[TestUser] = Field(description="by ascending id")
    next_cursor: str | None = Field(description="the `cursor` of the next page; null on the last")


class AuditEntry(BaseModel):
    id: int
    at: datetime
    actor: str
    kind: Kind
    subject: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(BaseModel):
    entries: list[AuditEntry] = Field(description="the newest first")
    next_cursor: str | None = Field(description="the `cursor` of the next page; null on the last")


class Key(BaseModel):
    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    revoked_at: datetime | None
    status: Literal["active", "expired", "revoked"]


class NewKey(Key):
    key: str = Field(description="the key's text: it is in this answer, and nowhere else")


class KeyPage(BaseModel):
    keys: list[Key] = Field(description="by ascending id")
    next_cursor: str | None = Field(description="the `cursor` of the next page; null on the last")


class Health(BaseModel):
    status: Literal["ok"]


class ReadinessPart(BaseModel):
    model_config = ConfigDict(extra="allow")

    ok: bool


class Readiness(BaseModel):
    status: Literal["ready", "not_ready", "stopping"]
    parts: dict[str, ReadinessPart]
