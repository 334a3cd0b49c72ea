"""Handler of /v1/admin/audit: who changed what, and when."""

import hashlib
from datetime import datetime
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from api.admin.body import integer_parameter, parameter
from api.admin.campaigns import DEFAULT_PAGE, PAGE_LIMITS
from api.admin.database import primary
from api.admin.documents import answer, plain
from api.admin.store import load_sql
from api.campaigns.fields import Instant
from api.errors import BAD_PARAMETER, ProblemError

KINDS: Final = ("campaign", "audience", "policy", "test_user", "key")
_INSTANT: Final = TypeAdapter(Instant)
_LAST: Final = 2**63 - 1
_LIST: Final = load_sql("list_audit")


async def list_audit(request: web.Request) -> web.Response:
    """`?who=<key id>&what=campaign:sale&since=<time>&cursor=&limit=1..200` → {"entries": […], "next"}."""
    limit = integer_parameter(request, "limit", DEFAULT_PAGE, PAGE_LIMITS)
    cursor = integer_parameter(request, "cursor", _LAST, range(1, _LAST + 1))
    who = _text(request, "who")
    kind, subject = _what(_text(request, "what"))
    since = _since(_text(request, "since"))
    async with primary(request) as connection:
        rows = await connection.fetch(_LIST, cursor, limit + 1, who, kind, subject, since)
    page = rows[:limit]
    following = page[-1]["id"] if len(rows) > limit else None
    entries = [{name: plain(value) for name, value in row.items()} for row in page]
    return answer({"entries": entries, "next": following})


def _what(text: str | None) -> tuple[str | None, str | None]:
    """`campaign`, or `campaign:sale`."""
    if text is None:
        return None, None
    kind, _, subject = text.partition(":")
    if kind not in KINDS:
        raise ProblemError(
            BAD_PARAMETER, f"what must be one of {', '.join(KINDS)}, or begin with it as in campaign:sale"
        )
    if kind == "test_user" and subject:  # the log doesn't name users
        subject = hashlib.sha256(subject.encode()).hexdigest()[:16]
    return kind, subject or None


def _since(text: str | None) -> datetime | None:
    try:
        return None if text is None else _INSTANT.validate_python(text)
    except ValidationError:
        raise ProblemError(
            BAD_PARAMETER, "since must be a date, a time and an offset, such as 2026-11-23T00:00:00Z"
        ) from None


def _text(request: web.Request, name: str) -> str | None:
    text = parameter(request, name, "")
    if "\0" in text:
        raise ProblemError(BAD_PARAMETER, f"{name} contains a NUL character: remove it")
    return text or None
