"""Audiences of campaigns."""

from typing import Final

from api import errors
from api.admin.audience_load import Mode
from api.contract import answers, forms
from api.contract.words import Answer, Body, Operation, Parameter

MODE: Final = Parameter(
    "mode",
    Mode,
    "What becomes of those that are in it already; `replace` if left out.",
    example="add",
)
RESULT: Final = {
    "campaign": "gold-cashback",
    "mode": "replace",
    "lines": 1000000,
    "members": 999950,
    "added": 40000,
    "removed": 1200,
    "duplicates": 50,
}
_PATH: Final = "/v1/admin/campaigns/{id}/audience"

OPERATIONS: Final = {
    f"GET {_PATH}": Operation(
        "getAudienceSize",
        "Audiences",
        "How many users are in a campaign's audience",
        parameters=[forms.CAMPAIGN],
        answers=[Answer(200, "The size.", answers.AudienceSize, {"members": 999950}, headers=["ETag"])],
    ),
    f"PUT {_PATH}": Operation(
        "uploadAudience",
        "Audiences",
        "Upload a campaign's audience: one user id a line",
        description="All or nothing, and memory stays flat, up to 512 MiB. An empty file with `replace` is "
        "refused: to empty the audience, send the header line `user_id` alone. "
        "`Content-Encoding: gzip` works.",
        parameters=[forms.CAMPAIGN, MODE],
        body=Body(forms.Lines, "user_id\nani\nbudi\n", media_types=("text/csv",)),
        answers=[Answer(200, "What has changed.", answers.AudienceUpload, RESULT)],
        codes=(errors.AUDIENCE_INVALID, errors.UPLOADS_BUSY, errors.UNSUPPORTED_MEDIA_TYPE),
    ),
}
