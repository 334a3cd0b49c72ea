"""Handler of /v1/admin/campaigns/{id}/preview: a token that shows the campaign on a real phone."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from aiohttp import web
from pydantic import AfterValidator, Field

from api.admin.body import read_optional_object
from api.admin.campaigns import stored_campaign
from api.admin.database import primary
from api.admin.documents import JSON, answer, plain, validated
from api.admin.store import CampaignRef, find_campaign
from api.admin.validation import invalid_field
from api.campaigns.targeting import StrictModel
from api.keys import CONFIG
from api.previews import Preview, PreviewSigner
from api.users import user_id_problem

HOUR_SECONDS: Final = 3600
MIN_SECONDS: Final = 60
MAX_SECONDS: Final = 7 * 86_400


def _user_id(text: str) -> str:
    if (problem := user_id_problem(text)) is not None:
        raise ValueError(problem)
    return text


class PreviewIn(StrictModel):
    user_id: Annotated[str, AfterValidator(_user_id)] | None = None
    variant: str | None = None
    expires_in_seconds: int = Field(default=HOUR_SECONDS, ge=MIN_SECONDS, le=MAX_SECONDS)


async def create_preview(request: web.Request) -> web.Response:
    """{"user_id"?, "variant"?, "expires_in_seconds"?} → 201 {"preview": token, "expires_at", "path"}."""
    ref = CampaignRef.parse(request.match_info["id"])
    wanted = validated(PreviewIn.model_validate, await read_optional_object(request, JSON))
    async with primary(request) as connection:
        row = await find_campaign(connection, ref)
    campaign = validated(lambda _: stored_campaign(row), {})  # one that was spoilt by hand can't be shown
    keys = [variant.key for variant in campaign.variants]
    if wanted.variant is not None and wanted.variant not in keys:
        raise invalid_field("variant", "not_allowed", f"must be one of {', '.join(keys)}, or left out")
    if campaign.status == "archived":
        raise invalid_field("status", "not_allowed", "is archived: PATCH the campaign's status first")
    expires_at = int(time.time()) + wanted.expires_in_seconds
    token = PreviewSigner(request.app[CONFIG].token_secrets).sign(
        Preview(row["id"], wanted.variant, expires_at, wanted.user_id)
    )
    document = {
        "preview": token,
        "expires_at": plain(datetime.fromtimestamp(expires_at, UTC)),
        "path": "/v1/popups?" + urlencode({"placement": campaign.placement, "preview": token}),
    }
    return answer(document, status=201, headers={"Cache-Control": "no-store"})
