"""Errors as RFC 9457 problem documents. The one place that knows what a client may see.

Each error has a stable `code`, a status, and a title; `detail` says what to do about it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

PROBLEM_JSON: Final = "application/problem+json"

#: What is refused with these passes by itself, so clients are told when to ask again.
PASSING: Final = frozenset((429, 503))
#: A 404 or 405 may be kept by caches unless they are told not to (RFC 9110, 15.1).
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Code:
    """A stable error code: clients branch on `code`, people read `title`."""

    code: str
    status: int
    title: str


BAD_REQUEST: Final = Code("bad_request", 400, "The request can't be read")
BAD_JSON: Final = Code("bad_json", 400, "The body is not valid JSON")
BAD_PARAMETER: Final = Code("bad_parameter", 400, "A query parameter is wrong")
UNAUTHORIZED: Final = Code("unauthorized", 401, "A valid bearer token is needed")
FORBIDDEN: Final = Code("forbidden", 403, "This key or user may not do that")
TOKEN_MALFORMED: Final = Code("token_malformed", 400, "The popup token can't be read")
TOKEN_FORGED: Final = Code("token_forged", 403, "The popup token was not issued by this service")
TOKEN_FOREIGN: Final = Code("token_foreign", 403, "The popup token belongs to another user")
TOKEN_HELD_OUT: Final = Code("token_held_out", 409, "The user is held out of the campaign")
TOKEN_EXPIRED: Final = Code("token_expired", 410, "The popup token is too old to be accepted")
RESERVATION_EXPIRED: Final = Code("reservation_expired", 410, "The popup's share of the budget has lapsed")
NOT_FOUND: Final = Code("not_found", 404, "There is nothing here")
METHOD_NOT_ALLOWED: Final = Code("method_not_allowed", 405, "This method is not allowed here")
REQUEST_TIMEOUT: Final = Code("request_timeout", 408, "The request came too slowly")
KEY_TAKEN: Final = Code("key_taken", 409, "The campaign key is in use")
LIMIT_REACHED: Final = Code("limit_reached", 409, "There can be no more of these")
MISMATCHING_UPLOAD_OFFSET: Final = Code(
    "mismatching_upload_offset", 409, "The part doesn't begin where the upload ends"
)
INCONSISTENT_UPLOAD_LENGTH: Final = Code(
    "inconsistent_upload_length", 409, "The upload doesn't have the length that was told"
)
COMPLETED_UPLOAD: Final = Code("completed_upload", 409, "The upload is applied already")
VERSION_CONFLICT: Final = Code("version_conflict", 412, "It was changed meanwhile")
TOO_LARGE: Final = Code("too_large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE: Final = Code("unsupported_media_type", 415, "The body has the wrong media type")
UNSUPPORTED_ENCODING: Final = Code("unsupported_encoding", 415, "The body is encoded in a way unknown here")
EXPECTATION_FAILED: Final = Code("expectation_failed", 417, "The header Expect asks for what is unknown here")
INVALID: Final = Code("invalid", 422, "Some fields are not valid")
AUDIENCE_INVALID: Final = Code("audience_invalid", 422, "Some lines of the audience file are not valid")
PRECONDITION_REQUIRED: Final = Code("precondition_required", 428, "Say which version you change")
RATE_LIMITED: Final = Code("rate_limited", 429, "Too many requests of one user or key")
HEAD_TOO_LARGE: Final = Code("head_too_large", 431, "The request's head is too large")
INTERNAL: Final = Code("internal", 500, "Something went wrong on our side")
BUFFER_FULL: Final = Code("buffer_full", 503, "Too many events wait to be merged")
ACK_TIMEOUT: Final = Code("ack_timeout", 503, "The event is not stored yet")
READ_BUSY: Final = Code("read_busy", 503, "Too many requests wait for the database")
OVERLOADED: Final = Code("overloaded", 503, "More is asked than can be answered soon")
STOPPING: Final = Code("stopping", 503, "The service is being stopped")
UPLOADS_BUSY: Final = Code("uploads_busy", 503, "Too many audience uploads are under way")
UNAVAILABLE: Final = Code("unavailable", 503, "The database can't be reached")


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{code.code}: {detail}")
        self.code = code
        self.detail = detail
        self.headers = headers
        self.members = members

    def response(self) -> web.Response:
        document = {
            "type": "about:blank",
            "title": self.code.title,
            "status": self.code.status,
            "code": self.code.code,
            "detail": self.detail,
            **self.members,
        }
        headers = {**_HEADERS, **(self.headers or {})}
        if self.code.status == UNAUTHORIZED.status:
            headers.setdefault("WWW-Authenticate", "Bearer")
        if self.code.status in PASSING:
            headers.setdefault("Retry-After", "1")
        return web.Response(
            body=json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace"),
            status=self.code.status,
            headers=headers,
            content_type=PROBLEM_JSON,
        )


def unforeseen(*, headers: Mapping[str, str] | None = None) -> ProblemError:
    """A failure of ours, which the caller has logged: 500 without detail."""
    return ProblemError(INTERNAL, "The failure is in the service's log.", headers=headers)


def busy(code: Code, detail: str, *, retry_after_seconds: int = 1) -> ProblemError:
    """A refusal that passes: 503 with Retry-After."""
    return ProblemError(code, detail, headers={"Retry-After": str(retry_after_seconds)})
