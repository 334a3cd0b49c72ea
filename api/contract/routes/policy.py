"""The policy, and the log of changes."""

from typing import Annotated, Any, Final

from pydantic import Field

from api import errors
from api.admin.audit import KINDS
from api.campaigns.fields import Instant
from api.contract import answers, forms
from api.contract.words import Answer, Body, Link, Operation, Parameter

_IN: Final[dict[str, Any]] = {
    "caps": [{"limit": 5, "window": "day"}],
    "min_gap": "60s",
    "timezone": "Asia/Jakarta",
    "tags": {"promo": {"caps": [{"limit": 1, "window": "24h"}], "min_gap": None}},
    "holdout_percent": 2.0,
}
_POLICY: Final = {**_IN, "version": 4, "updated_at": "2026-11-01T08:00:00Z"}
_REPLACE: Final = {"replace": Link("replacePolicy", {"If-Match": "$response.header.ETag"})}

OPERATIONS: Final = {
    "GET /v1/admin/policy": Operation(
        "getPolicy",
        "Policy",
        "What holds for all campaigns together",
        answers=[Answer(200, "The policy.", answers.Policy, _POLICY, headers=["ETag"], links=_REPLACE)],
    ),
    "PUT /v1/admin/policy": Operation(
        "replacePolicy",
        "Policy",
        "Replace the policy as a whole",
        description=forms.REPLACES,
        parameters=[forms.IF_MATCH],
        body=Body(forms.PolicyPut, {**_IN, "version": 3}),
        answers=[Answer(200, "The policy.", answers.Policy, _POLICY, headers=["ETag"], links=_REPLACE)],
        codes=(
            errors.VERSION_CONFLICT,
            errors.INVALID,
            errors.PRECONDITION_REQUIRED,
            errors.UNSUPPORTED_MEDIA_TYPE,
        ),
    ),
    "GET /v1/admin/audit": Operation(
        "listAudit",
        "Audit log",
        "Who changed what, and when",
        parameters=(
            Parameter("who", forms.Text, "The id of an API key, `bootstrap`, or `cli:` and an account."),
            Parameter(
                "what",
                Annotated[str, Field(pattern=rf"^(({'|'.join(KINDS)})(:[^\x00]*)?)?$")],
                "A kind, or one of them.",
                example="campaign:ramadan-sale",
            ),
            Parameter("since", Instant, "A time with an offset.", example="2026-11-01T00:00:00Z"),
            forms.CURSOR,
            forms.PAGE_LIMIT,
        ),
        answers=[
            Answer(
                200,
                "A page.",
                answers.AuditPage,
                {
                    "entries": [
                        {
                            "id": 17,
                            "at": "2026-11-01T08:00:00Z",
                            "actor": "3f9c01d2ab45",
                            "kind": "campaign",
                            "subject": "ramadan-sale",
                            "action": "update",
                            "before": {"status": "draft", "version": 1},
                            "after": {"status": "live", "version": 2},
                        }
                    ],
                    "next_cursor": None,
                },
                headers=["ETag", "Link"],
            )
        ],
    ),
}
