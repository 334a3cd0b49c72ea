"""Handlers of /v1/admin/campaigns. Answers carry the version as an ETag; changes must name it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, get_args

from aiohttp import web
from pydantic import ValidationError

from api.admin import store
from api.admin.body import choice_parameter, integer_parameter, parameter, read_object
from api.admin.database import Connection, primary
from api.admin.store import MAX_ID, CampaignRef, Row
from api.admin.validation import invalid_field, invalid_fields
from api.admin.versions import Expected, etag, expected_version, precondition_required, version_conflict
from api.campaigns.model import Campaign, CampaignIn, apply_patch
from api.errors import BAD_PARAMETER, ProblemError

Change = Callable[[Row, dict[str, Any]], CampaignIn]

DEFAULT_PAGE: Final = 50
PAGE_LIMITS: Final = range(1, 201)
_JSON: Final = "application/json"
_STATUSES: Final = get_args(CampaignIn.model_fields["status"].annotation)
#: Given by us: a client may send back what it has read, and nothing else.
_READ_ONLY: Final = ("id", "created_at", "updated_at")


async def list_campaigns(request: web.Request) -> web.Response:
    """`?limit=1..200&after=<id>&status=&placement=` → {"campaigns": […], "next": <id for after, or null>}."""
    limit = integer_parameter(request, "limit", DEFAULT_PAGE, PAGE_LIMITS)
    after = integer_parameter(request, "after", 0, range(MAX_ID + 1))
    status = choice_parameter(request, "status", "", _STATUSES) or None
    placement = parameter(request, "placement", "") or None
    if placement is not None and "\0" in placement:
        raise ProblemError(BAD_PARAMETER, "placement contains a NUL character: remove it")
    async with primary(request) as connection:
        rows = await store.list_campaigns(
            connection, after=after, limit=limit + 1, status=status, placement=placement
        )
    page = rows[:limit]
    following = page[-1]["id"] if len(rows) > limit else None
    return _answer({"campaigns": [_document(row) for row in page], "next": following})


async def create_campaign(request: web.Request) -> web.Response:
    """201 with Location; 409 if the key is in use, also by an archived campaign."""
    campaign = _validated(CampaignIn.model_validate, await read_object(request, _JSON))
    async with primary(request) as connection:
        row = await store.insert_campaign(connection, campaign)
    return _campaign(row, status=201, headers={"Location": f"{request.path.rstrip('/')}/{row['id']}"})


async def get_campaign(request: web.Request) -> web.Response:
    ref = CampaignRef.parse(request.match_info["id"])
    async with primary(request) as connection:
        return _campaign(await store.find_campaign(connection, ref))


async def put_campaign(request: web.Request) -> web.Response:
    """Replaces the whole campaign; what is left out gets its default.

    Idempotent: sent again after a lost answer, it finds its own work done and answers 200 again.
    """
    body = await read_object(request, _JSON)
    return await _change(request, body, lambda _, new: CampaignIn.model_validate(new), repeatable=True)


async def patch_campaign(request: web.Request) -> web.Response:
    """Replaces the fields that are given; null resets one to its default (RFC 7396, top level)."""
    body = await read_object(request, "application/merge-patch+json", _JSON)
    return await _change(request, body, lambda row, patch: apply_patch(_stored(row), patch), repeatable=False)


async def delete_campaign(request: web.Request) -> web.Response:
    """204. Archives: counts and reports refer to the campaign, and a PATCH of `status` brings it back."""
    ref, expected = CampaignRef.parse(request.match_info["id"]), expected_version(request)
    async with primary(request) as connection:
        row = await store.find_campaign(connection, ref)
        if expected is not None and not expected.allows(row["version"]):
            raise version_conflict(row["version"])
        if row["status"] != "archived":
            archived = await store.archive_campaign(connection, row["id"], row["version"])
            row = archived or await _lost_race(connection, row)
    return web.Response(status=204, headers={"ETag": etag(row["version"])})


async def _change(
    request: web.Request, body: dict[str, Any], change: Change, *, repeatable: bool
) -> web.Response:
    ref, expected = CampaignRef.parse(request.match_info["id"]), expected_version(request, body)
    if expected is None:
        raise precondition_required()
    async with primary(request) as connection:
        row = await store.find_campaign(connection, ref)
        current = expected.allows(row["version"])
        if not current and not repeatable:
            raise version_conflict(row["version"])
        campaign = _changed(row, body, change, expected)
        if _same(row, campaign):  # the catalog of every api process stays as it is
            return _campaign(row)
        if not current:
            raise version_conflict(row["version"])
        changed = await store.update_campaign(connection, row["id"], row["version"], campaign)
        return _campaign(changed or await _lost_race(connection, row))


def _changed(row: Row, body: dict[str, Any], change: Change, expected: Expected) -> CampaignIn:
    stored = _document(row)
    try:
        return _validated(
            lambda new: change(row, new),
            {name: value for name, value in body.items() if not _sent_back(name, value, stored)},
        )
    except ProblemError:
        # Old read-only fields in the body are no mistake of the client's when it is told to read again.
        if not expected.allows(row["version"]):
            raise version_conflict(row["version"]) from None
        raise


def _sent_back(name: str, value: Any, stored: dict[str, Any]) -> bool:
    return name in _READ_ONLY and bool(value == stored[name])


async def _lost_race(connection: Connection, row: Row) -> Row:
    """Somebody changed it between our read and our write: never returns."""
    latest = await store.find_campaign(connection, CampaignRef(id=row["id"]))
    raise version_conflict(latest["version"])


def _validated(validate: Callable[[dict[str, Any]], CampaignIn], body: dict[str, Any]) -> CampaignIn:
    try:
        campaign = validate(body)
    except ValidationError as error:
        raise invalid_fields(error) from None
    if campaign.key.isdigit():
        raise invalid_field("key", "not_allowed", "needs a letter or a hyphen: digits in a path are an id")
    return campaign


def _stored(row: Row) -> CampaignIn:
    return CampaignIn.model_validate({name: row[name] for name in CampaignIn.model_fields})


def _same(row: Row, campaign: CampaignIn) -> bool:
    # As text for what is nested: Python takes {"a": 1} and {"a": true} for equal.
    return all(
        row[name] == value and (not isinstance(value, (dict, list)) or _text(row[name]) == _text(value))
        for name, value in campaign.model_dump().items()
    )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _campaign(row: Row, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return _answer(_document(row), status=status, headers={"ETag": etag(row["version"]), **(headers or {})})


def _document(row: Row) -> dict[str, Any]:
    """Straight from the row, unchecked: one that was spoilt by hand can still be seen and corrected."""
    fields = {name: row[name] for name in Campaign.model_fields}
    return {
        name: value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in fields.items()
    }


def _answer(
    document: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers=headers, content_type=_JSON)
