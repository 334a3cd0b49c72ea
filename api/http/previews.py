"""`preview=` of `GET /v1/popups`: the campaign that a preview token shows, read from the database."""

import logging
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from api import errors
from api.campaigns.experiments import LiveVariant
from api.campaigns.live import LiveCampaign, compile_campaign
from api.campaigns.model import Campaign
from api.errors import ProblemError, busy
from api.http.delivery import Delivery
from api.previews import Preview, PreviewError
from api.read.reader import Reader
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.http")

_CAMPAIGN: Final = (Path(__file__).parent.parent / "read" / "sql" / "preview_campaign.sql").read_text()


async def previewed(
    delivery: Delivery, text: str, user_id: str, now: float
) -> tuple[LiveCampaign, LiveVariant]:
    """What the token `text` shows to this user; `now` in seconds since the Unix epoch.

    The campaign is compiled for this one answer: it has no budget, and its counters are nobody's.
    Raises ProblemError: 400 that names `preview`, or 503 when no server answers.
    """
    try:
        preview = delivery.previews.verify(text, user_id=user_id, now_seconds=now)
    except PreviewError as error:
        raise _wrong(str(error)) from None
    campaign = _shown(await _stored(delivery.reader, preview.campaign_id), preview)
    live = compile_campaign(campaign)
    return live, live.variant_for(user_id.encode())


def _shown(stored: Campaign, preview: Preview) -> Campaign:
    """As it is to be compiled: with the one variant that the token names, which may have weight 0."""
    if stored.status == "archived":
        raise _wrong("shows a campaign that is archived: bring it back first")
    variants = stored.variants
    if preview.variant is not None:
        variants = [
            variant.model_copy(update={"weight": 1}) for variant in variants if variant.key == preview.variant
        ]
        if not variants:
            raise _wrong(f"shows the variant {preview.variant!r}, which is gone: ask for a new one")
    return stored.model_copy(update={"variants": variants, "budget": None})


async def _stored(reader: Reader, campaign_id: int) -> Campaign:
    """From the first server in use that has it: a new draft may not be on the replica yet."""
    answered = False
    for server in reader.servers_in_use():
        try:
            rows = await server.fetch(_CAMPAIGN, campaign_id)
        except ConnectionFailedError as error:
            log.warning("%s: %s", server.name, error)
            continue
        answered = True
        if rows:
            return _valid(rows[0]["campaign"])
    if answered:
        raise _wrong("shows a campaign that is gone")
    raise busy(errors.UNAVAILABLE, "Neither the replica nor the primary answers. Try again.")


def _valid(document: str) -> Campaign:
    try:
        return Campaign.model_validate_json(document)
    except ValidationError as error:
        log.warning("a stored campaign is not valid and can't be previewed: %s", error)
        raise _wrong("shows a campaign whose stored fields are not valid: correct it first") from None


def _wrong(detail: str) -> ProblemError:
    return ProblemError(errors.BAD_PARAMETER, f"preview {detail}", parameter="preview")
