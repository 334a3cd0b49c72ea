"""Handlers of /v1/admin/keys. The text of a key is in the answer that makes it, and nowhere else."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import Field

from api.access import store
from api.access.secret import DAY_SECONDS, ID, MAX_OVERLAP_SECONDS
from api.access.store import KeyIn, Row, status_of
from api.admin.body import read_object, read_optional_object
from api.admin.database import primary
from api.admin.documents import JSON, answer, plain, validated
from api.admin.pages import asked_page, page_answer
from api.admin.validation import invalid_field
from api.campaigns.targeting import StrictModel

_NO_STORE = {"Cache-Control": "no-store"}


class RotationIn(StrictModel):
    overlap_seconds: int = Field(default=DAY_SECONDS, ge=0, le=MAX_OVERLAP_SECONDS)


async def list_keys(request: web.Request) -> web.Response:
    """`?limit=1..200&cursor=` → {"keys": […], "next_cursor"}, by ascending id."""
    page = asked_page(
        request, "keys", lambda place: isinstance(place, str) and ID.fullmatch(place) is not None
    )
    async with primary(request) as connection:
        rows = await store.list_keys(connection, after=str(page.after or ""), limit=page.rows)
    return page_answer(request, page, rows, _document, place="id")


async def create_key(request: web.Request) -> web.Response:
    """{"name", "scopes", "expires_at"?} → 201 with the key's text as `key`."""
    wanted = validated(KeyIn.model_validate, await read_object(request, JSON))
    if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
        raise invalid_field("expires_at", "not_allowed", "has passed: give a later one, or null")
    async with primary(request) as connection:
        row, text = await store.create_key(connection, wanted)
    headers = {"Location": f"{request.path.rstrip('/')}/{row['id']}", **_NO_STORE}
    return answer({**_document(row), "key": text}, status=201, headers=headers)


async def get_key(request: web.Request) -> web.Response:
    async with primary(request) as connection:
        return answer(_document(await store.find_key(connection, _id(request))))


async def rotate_key(request: web.Request) -> web.Response:
    """{"overlap_seconds"?} → 200 with the new text as `key`; the older one goes on for the overlap."""
    body = await read_optional_object(request, JSON)
    overlap = validated(RotationIn.model_validate, body).overlap_seconds
    async with primary(request) as connection:
        row, text = await store.rotate_key(connection, _id(request), overlap_seconds=overlap)
    return answer({**_document(row), "key": text}, headers=_NO_STORE)


async def revoke_key(request: web.Request) -> web.Response:
    """204, also if it was revoked before; within a second no process takes the key any more."""
    async with primary(request) as connection:
        await store.revoke_key(connection, _id(request))
    return web.Response(status=204)


def _id(request: web.Request) -> str:
    key_id = request.match_info["id"]
    if ID.fullmatch(key_id) is None:
        raise store.not_found()
    return key_id


def _document(row: Row) -> dict[str, Any]:
    return {
        **{name: plain(value) for name, value in row.items()},
        "status": status_of(row, datetime.now(UTC)),
    }
