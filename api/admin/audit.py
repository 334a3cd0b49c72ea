"""Handler of /v1/admin/audit: who changed what, and when."""

import hashlib
from datetime import datetime
from typing import Any, Final, Literal, get_args

import asyncpg
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from api.admin.body import parameter, text_parameter, wrong_parameter
from api.admin.database import primary
from api.admin.documents import plain
from api.admin.pages import asked_page, ids_to, page_answer
from api.admin.store import load_sql
from api.campaigns.fields import Instant

Kind = Literal["campaign", "audience", "policy", "test_user", "key", "erasure"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_INSTANT: Final = TypeAdapter(Instant)
MAX_ID: Final = 2**63 - 1
_LIST: Final = load_sql("list_audit")


async def list_audit(request: web.Request) -> web.Response:
    """`?who=<key id>&what=campaign:sale&since=<time>&limit=1..200&cursor=` → {"entries": […], "next_cursor"}.

    The newest first.
    """
    page = asked_page(request, "entries", ids_to(MAX_ID))
    who = text_parameter(request, "who")
    kind, subject = _what(text_parameter(request, "what"))
    since = _since(parameter(request, "since", "")) if "since" in request.query else None
    async with primary(request) as connection:
        rows = await connection.fetch(_LIST, page.after, page.rows, who, kind, subject, since)
    return page_answer(request, page, rows, _document, place="id")


def _document(row: asyncpg.Record) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}


def _what(text: str | None) -> tuple[str | None, str | None]:
    """`campaign`, or `campaign:sale`."""
    if text is None:
        return None, None
    kind, _, subject = text.partition(":")
    if kind not in KINDS:
        raise wrong_parameter(
            "what", f"must be one of {', '.join(KINDS)}, or begin with it as in campaign:sale"
        )
    if kind == "test_user" and subject:  # the log doesn't name users
        subject = hashlib.sha256(subject.encode()).hexdigest()[:16]
    return kind, subject or None


def _since(text: str) -> datetime:
    try:
        return _INSTANT.validate_python(text)
    except ValidationError:
        raise wrong_parameter(
            "since", "must be a date, a time and an offset, such as 2026-11-23T00:00:00Z"
        ) from None
