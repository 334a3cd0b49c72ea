"""Large audiences in parts."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from api import errors
from api.contract import answers, forms
from api.contract.routes.audiences import MODE, RESULT
from api.contract.words import Answer, Body, Link, Operation, Parameter

_ALL: Final = "/v1/admin/campaigns/{id}/audience/uploads"
_ONE: Final = _ALL + "/{upload}"
#: So many digits the service reads.
_Bytes = Annotated[int, Field(ge=0, lt=10**18)]
_ID: Final = "0b0f6a0e-5f3c-4c53-9d4e-0d7f1f2a6b11"
_UPLOAD: Final = Parameter("upload", UUID, "The upload's id.", where="path", example=_ID)
_OPEN: Final = {
    "id": _ID,
    "campaign": "gold-cashback",
    "mode": "replace",
    "state": "open",
    "offset": 8388608,
    "length": 17000000,
    "crc32": "5d41402a",
    "lines": 493447,
    "bad_lines": 0,
    "errors": [],
    "created_at": "2026-11-01T08:00:00Z",
    "expires_at": "2026-11-02T08:00:05Z",
    "result": None,
}
_HEADERS: Final = ("Upload-Offset", "Upload-Complete", "Upload-Limit", "Cache-Control")
_THIS: Final = {"id": "$response.body#/campaign", "upload": "$response.body#/id"}
_LINKS: Final = {
    "ask": Link("getAudienceUpload", _THIS),
    # The header, not the body's number: a tool that follows links puts it into a header as it is.
    "goOn": Link("appendAudienceUpload", {**_THIS, "Upload-Offset": "$response.header.Upload-Offset"}),
    "apply": Link("completeAudienceUpload", _THIS),
    "giveUp": Link("deleteAudienceUpload", _THIS),
}

OPERATIONS: Final = {
    f"GET {_ALL}": Operation(
        "listAudienceUploads",
        "Audiences",
        "Uploads in parts that are open",
        parameters=[forms.CAMPAIGN],
        answers=[
            Answer(200, "All of them.", answers.ResumableUploads, {"uploads": [_OPEN]}, headers=["ETag"])
        ],
    ),
    f"POST {_ALL}": Operation(
        "createAudienceUpload",
        "Audiences",
        "Open an upload in parts, for a large audience",
        description="What arrives is kept, so that a lost connection costs seconds: any process goes on "
        "with it. Nothing is applied before it is completed.",
        parameters=[
            forms.CAMPAIGN,
            MODE,
            Parameter(
                "Upload-Length",
                _Bytes,
                "The whole file's bytes, if known: then no fewer can be applied, and no more sent.",
                where="header",
                example=17000000,
            ),
        ],
        answers=[
            Answer(
                201,
                "It is open.",
                answers.ResumableUpload,
                {**_OPEN, "offset": 0, "crc32": "00000000", "lines": 0},
                headers=["Location", *_HEADERS],
                links=_LINKS,
            )
        ],
        codes=(errors.LIMIT_REACHED, errors.TOO_LARGE),
    ),
    f"GET {_ONE}": Operation(
        "getAudienceUpload",
        "Audiences",
        "How far an upload is",
        description="HEAD has it in its headers.",
        parameters=[forms.CAMPAIGN, _UPLOAD],
        answers=[Answer(200, "The upload.", answers.ResumableUpload, _OPEN, headers=_HEADERS, links=_LINKS)],
    ),
    f"PATCH {_ONE}": Operation(
        "appendAudienceUpload",
        "Audiences",
        "Send a part: the file from an offset on, as far as it comes",
        description="A part may end anywhere, within a line too; what came before a connection broke is "
        "kept. `Content-Encoding` is refused, since offsets count the file's bytes; `text/csv` is taken "
        "as well.",
        parameters=[
            forms.CAMPAIGN,
            _UPLOAD,
            Parameter(
                "Upload-Offset",
                _Bytes,
                "How many bytes of the file come before this part: as many as are here.",
                where="header",
                required=True,
                example=0,
            ),
        ],
        body=Body(forms.Lines, "user_id\nani\nbudi\n", media_types=("application/partial-upload",)),
        answers=[Answer(200, "It is kept.", answers.ResumableUpload, _OPEN, headers=_HEADERS, links=_LINKS)],
        codes=(
            errors.MISMATCHING_UPLOAD_OFFSET,
            errors.COMPLETED_UPLOAD,
            errors.UPLOADS_BUSY,
            errors.UNSUPPORTED_MEDIA_TYPE,
        ),
    ),
    f"DELETE {_ONE}": Operation(
        "deleteAudienceUpload",
        "Audiences",
        "Give an upload up",
        description="What was applied stays applied.",
        parameters=[forms.CAMPAIGN, _UPLOAD],
        answers=[Answer(204, "It is gone.")],
    ),
    f"POST {_ONE}/complete": Operation(
        "completeAudienceUpload",
        "Audiences",
        "Apply an upload: all of it, or nothing",
        description="Sent again after a lost answer it gives the first one's answer, and does nothing.",
        parameters=[forms.CAMPAIGN, _UPLOAD, forms.IF_MATCH],
        answers=[Answer(200, "What has changed.", answers.AudienceUpload, RESULT)],
        codes=(
            errors.INCONSISTENT_UPLOAD_LENGTH,
            errors.VERSION_CONFLICT,
            errors.AUDIENCE_INVALID,
            errors.UPLOADS_BUSY,
        ),
    ),
}
