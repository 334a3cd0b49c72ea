"""API keys."""

from typing import Annotated, Final

from pydantic import Field

from api import errors
from api.access.secret import ID
from api.access.store import KeyIn
from api.admin.keys import RotationIn
from api.contract import answers, forms
from api.contract.words import Answer, Body, Link, Operation, Parameter

_PATH: Final = "/v1/admin/keys/{id}"
_KEY: Final = {
    "id": "3f9c01d2ab45",
    "name": "crm",
    "scopes": ["ingest"],
    "created_at": "2026-11-01T08:00:00Z",
    "expires_at": None,
    "rotated_at": None,
    "revoked_at": None,
    "status": "active",
}
_NEW: Final = {**_KEY, "key": "tyk_3f9c01d2ab45_5e0c"}
_ID: Final = Parameter(
    "id",
    Annotated[str, Field(pattern=f"^{ID.pattern}$")],
    "The key's id.",
    where="path",
    example="3f9c01d2ab45",
)
_LINKS: Final = {
    "get": Link("getKey", {"id": "$response.body#/id"}),
    "rotate": Link("rotateKey", {"id": "$response.body#/id"}),
    "revoke": Link("revokeKey", {"id": "$response.body#/id"}),
}

OPERATIONS: Final = {
    "GET /v1/admin/keys": Operation(
        "listKeys",
        "Keys",
        "API keys, by ascending id; never their texts",
        parameters=(
            forms.PAGE_LIMIT,
            forms.CURSOR,
        ),
        answers=[
            Answer(
                200,
                "A page.",
                answers.KeyPage,
                {"keys": [_KEY], "next_cursor": None},
                headers=["ETag", "Link"],
            )
        ],
    ),
    "POST /v1/admin/keys": Operation(
        "createKey",
        "Keys",
        "Make an API key",
        description="Its text is in the answer, once: only a hash of it is stored.",
        body=Body(KeyIn, {"name": "crm", "scopes": ["ingest"], "expires_at": None}),
        answers=[
            Answer(
                201,
                "The key and its text.",
                answers.NewKey,
                _NEW,
                headers=["Location", "Cache-Control"],
                links=_LINKS,
            )
        ],
        codes=(errors.LIMIT_REACHED, errors.INVALID, errors.UNSUPPORTED_MEDIA_TYPE),
    ),
    f"GET {_PATH}": Operation(
        "getKey",
        "Keys",
        "One API key; never its text",
        parameters=[_ID],
        answers=[Answer(200, "The key.", answers.Key, _KEY)],
    ),
    f"POST {_PATH}/rotate": Operation(
        "rotateKey",
        "Keys",
        "Give an API key a new text",
        description="The older ones go on for the overlap. Was the answer lost, rotate again.",
        parameters=[_ID],
        body=Body(RotationIn, {"overlap_seconds": 86400}, required=False),
        answers=[
            Answer(
                200,
                "The key and its new text.",
                answers.NewKey,
                _NEW,
                headers=["Cache-Control"],
                links=_LINKS,
            )
        ],
        codes=(errors.INVALID, errors.UNSUPPORTED_MEDIA_TYPE),
    ),
    f"DELETE {_PATH}": Operation(
        "revokeKey",
        "Keys",
        "Revoke an API key",
        description="Every process refuses it within a second; it stays in the list.",
        parameters=[_ID],
        answers=[Answer(204, "It is revoked, also if it was before.")],
    ),
}
