"""One campaign, as it is sent and as it comes back."""

from typing import Any, Final

CAMPAIGN_IN: Final[dict[str, Any]] = {
    "key": "ramadan-sale",
    "name": "Ramadan sale",
    "status": "live",
    "placement": "home",
    "caps": [{"limit": 3, "window": "24h"}],
    "variants": [{"key": "a", "weight": 1, "content": {"title": "Ramadan sale"}}],
}
CAMPAIGN: Final[dict[str, Any]] = {
    "key": "ramadan-sale",
    "name": "Ramadan sale",
    "status": "live",
    "priority": 100,
    "placement": "home",
    "starts_at": None,
    "ends_at": None,
    "timezone": "UTC",
    "schedule": [],
    "schedule_timezone": "campaign",
    "audience": "everyone",
    "targeting": None,
    "caps": [{"window": "24h", "limit": 3}],
    "cooldown": None,
    "stop_after": None,
    "tags": [],
    "exempt": False,
    "counts_for_policy": True,
    "budget": None,
    "holdout_percent": 0.0,
    "variants": [{"key": "a", "weight": 1, "content": {"title": "Ramadan sale"}}],
    "id": 17,
    "version": 3,
    "created_at": "2026-11-01T08:00:00Z",
    "updated_at": "2026-11-01T08:00:00Z",
}
