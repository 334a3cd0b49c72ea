"""What the requests are about: a campaign, and a popup of it."""

from typing import Any, Final

import aiohttp

from tests.adversity.mutations.requests import CAMPAIGN, Request, requests
from tests.support.service import ADMIN_KEY, bearer, user_jwt
from tests.support.waiting import until

#: Of the service they are sent to. A client on a busy machine may need a moment between two steps.
SETTINGS: Final[dict[str, Any]] = {"head_timeout_seconds": 1.0, "body_timeout_seconds": 1.0}
_ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
_PLAIN = {
    **CAMPAIGN,
    "key": "plain",
    "schedule": [],
    "targeting": None,
    "holdout_percent": 0,
    "placement": "plain",
}


async def good_requests(url: str) -> list[Request]:
    """One for each route of the service, which may do something there."""
    async with aiohttp.ClientSession(url) as session:
        for campaign in (CAMPAIGN, _PLAIN):
            async with session.post("/v1/admin/campaigns", json=campaign, headers=_ADMIN) as response:
                assert response.status == 201, await response.text()

        async def served() -> bool:
            path = "/v1/popups?placement=plain"
            async with session.get(path, headers=bearer("ani")) as response:
                popups.extend((await response.json())["popups"])
            return bool(popups)

        popups: list[dict[str, str]] = []
        await until(served, "the campaign is served")
        key = {"name": "crm", "scopes": ["ingest"]}
        async with session.post("/v1/admin/keys", json=key, headers=_ADMIN) as response:
            key_id = (await response.json())["id"]
    return requests(admin_key=ADMIN_KEY, user_jwt=user_jwt("ani"), token=popups[0]["token"], key_id=key_id)
