"""Headers of answers, and which of them come with which status."""

from collections.abc import Mapping
from typing import Any, Final

from api import errors

_TEXT: Final = {"type": "string"}

#: In answers, by name. `required`: it always comes.
HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Allow": {"description": "The methods that this path has.", "schema": _TEXT, "required": True},
    "Cache-Control": {"description": "How long the answer may be kept.", "schema": _TEXT, "required": True},
    "Content-Disposition": {"description": "A file name.", "schema": _TEXT, "required": True},
    "ETag": {
        "description": "The version of what was answered: for `If-Match`, or `If-None-Match`.",
        "schema": _TEXT,
        "required": True,
        "example": '"3"',
    },
    "Link": {
        "description": 'The next page (`rel="next"`), if there is one.',
        "schema": _TEXT,
        "required": False,
    },
    "Location": {
        "description": "The path of what was made.",
        "schema": _TEXT,
        "required": True,
        "example": "/v1/admin/campaigns/17",
    },
    "RateLimit": {
        "description": "How many requests are left, and when there are more.",
        "schema": _TEXT,
        "required": False,
        "example": '"user";r=0;t=2',
    },
    "RateLimit-Policy": {
        "description": "How many there may be.",
        "schema": _TEXT,
        "required": False,
    },
    "Retry-After": {
        "description": "Ask again after so many seconds.",
        "schema": {"type": "integer", "minimum": 0},
        "required": True,
        "example": 1,
    },
    "Upload-Complete": {
        "description": "`?1` once the upload is applied, else `?0`.",
        "schema": {"type": "string", "enum": ["?0", "?1"]},
        "required": True,
    },
    "Upload-Limit": {
        "description": "How many bytes a file may have.",
        "schema": _TEXT,
        "required": True,
        "example": "max-size=536870912",
    },
    "Upload-Offset": {
        "description": "How many bytes are here: the next part begins there.",
        "schema": {"type": "integer", "minimum": 0},
        "required": True,
        "example": 8388608,
    },
    "Vary": {
        "description": "The headers of the request on which the answer depends.",
        "schema": _TEXT,
        "required": True,
        "example": "Accept",
    },
    "WWW-Authenticate": {
        "description": "The scheme that is asked for.",
        "schema": _TEXT,
        "required": True,
        "example": "Bearer",
    },
}

#: With every problem of a status.
OF_PROBLEMS: Final[Mapping[int, tuple[str, ...]]] = {
    errors.UNAUTHORIZED.status: ("WWW-Authenticate",),
    errors.METHOD_NOT_ALLOWED.status: ("Allow",),
    errors.RATE_LIMITED.status: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    errors.UNAVAILABLE.status: ("Retry-After",),
}
