"""Campaigns for tests of the engine, without a database."""

from datetime import UTC, datetime
from typing import Any

from api.campaigns.live import LiveCampaign, compile_campaign
from api.campaigns.model import Campaign

_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC).isoformat()


def live(number: int, **fields: Any) -> LiveCampaign:
    """A live campaign for everyone, with this id and the key `c<id>`."""
    return compile_campaign(Campaign.model_validate(document(number, **fields)))


def document(number: int, **fields: Any) -> dict[str, Any]:
    """The campaign as it is stored."""
    return {
        "id": number,
        "key": f"c{number}",
        "name": f"Campaign {number}",
        "status": "live",
        "placement": "home",
        "version": 1,
        "created_at": _WRITTEN,
        "updated_at": _WRITTEN,
        "variants": [{"key": "a", "weight": 1, "content": {"title": "Hi"}}],
        **fields,
    }
