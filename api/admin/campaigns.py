"""Handlers of /v1/admin/campaigns. Answers carry the version as an ETag; changes must name it."""

from collections.abc import Callable
from typing import Any, Final, get_args

from aiohttp import web

from api.admin import store
from api.admin.body import choice_parameter, read_object, text_parameter
from api.admin.database import Connection, primary
from api.admin.documents import JSON, answer, plain, same_value, validated, without_sent_back
from api.admin.pages import asked_page, ids_to, page_answer
from api.admin.store import MAX_ID, CampaignRef, Row
from api.admin.validation import invalid_field
from api.admin.versions import (
    Expected,
    conflict_first,
    etag,
    expected_version,
    required_version,
    version_conflict,
)
from api.campaigns.model import Campaign, CampaignIn, apply_patch

Change = Callable[[Row, dict[str, Any]], CampaignIn]

_STATUSES: Final = get_args(CampaignIn.model_fields["status"].annotation)
#: Given by us: a client may send back what it has read, and nothing else.
_READ_ONLY: Final = ("id", "created_at", "updated_at")


async def list_campaigns(request: web.Request) -> web.Response:
    """`?limit=1..200&cursor=&status=&placement=` → {"campaigns": […], "next_cursor"}, by ascending id."""
    page = asked_page(request, "campaigns", ids_to(MAX_ID))
    # One that is there and empty is a script's slip, and would list more than was meant.
    status = choice_parameter(request, "status", "live", _STATUSES) if "status" in request.query else None
    placement = text_parameter(request, "placement")
    async with primary(request) as connection:
        rows = await store.list_campaigns(
            connection, after=int(page.after or 0), limit=page.rows, status=status, placement=placement
        )
    return page_answer(request, page, rows, _document, place="id")


async def create_campaign(request: web.Request) -> web.Response:
    """201 with Location; 409 if the key is in use, also by an archived campaign."""
    campaign = _campaign_of(CampaignIn.model_validate, await read_object(request, JSON))
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
    body = await read_object(request, JSON)
    return await _change(request, body, lambda _, new: CampaignIn.model_validate(new), repeatable=True)


async def patch_campaign(request: web.Request) -> web.Response:
    """Replaces the fields that are given; null resets one to its default (RFC 7396, top level)."""
    body = await read_object(request, "application/merge-patch+json", JSON)
    return await _change(
        request, body, lambda row, patch: apply_patch(stored_campaign(row), patch), repeatable=False
    )


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
    ref, expected = CampaignRef.parse(request.match_info["id"]), required_version(request, body)
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
    with conflict_first(expected, row["version"]):
        return _campaign_of(lambda new: change(row, new), without_sent_back(body, _document(row), _READ_ONLY))


async def _lost_race(connection: Connection, row: Row) -> Row:
    """Somebody changed it between our read and our write: never returns."""
    latest = await store.find_campaign(connection, CampaignRef(id=row["id"]))
    raise version_conflict(latest["version"])


def _campaign_of(validate: Callable[[dict[str, Any]], CampaignIn], body: dict[str, Any]) -> CampaignIn:
    campaign = validated(validate, body)
    if campaign.key.isdigit():
        raise invalid_field("key", "not_allowed", "needs a letter or a hyphen: digits in a path are an id")
    return campaign


def stored_campaign(row: Row) -> CampaignIn:
    return CampaignIn.model_validate({name: row[name] for name in CampaignIn.model_fields})


def _same(row: Row, campaign: CampaignIn) -> bool:
    return all(same_value(row[name], value) for name, value in campaign.model_dump().items())


def _campaign(row: Row, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return answer(_document(row), status=status, headers={"ETag": etag(row["version"]), **(headers or {})})


def _document(row: Row) -> dict[str, Any]:
    """Straight from the row, unchecked: one that was spoilt by hand can still be seen and corrected."""
    return {name: plain(row[name]) for name in Campaign.model_fields}
