"""Previews: the admin's half makes the token, the popups' half finds what it shows, on whichever server."""

import time
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api.campaigns.experiments import LiveVariant
from api.campaigns.live import LiveCampaign
from api.errors import ProblemError
from api.http.previews import previewed
from api.previews import Preview
from tests.integration.admin_support import problem
from tests.support.database import Database
from tests.support.servers import replay_paused, without
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.waiting import until

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
VARIANTS = [
    {"key": "a", "weight": 1, "content": {"title": "A"}},
    {"key": "b", "weight": 0, "content": {"title": "B"}},
]
NEVER = {
    "status": "draft", "ends_at": "2020-01-01T00:00:00Z", "audience": "listed",
    "caps": [{"limit": 1, "window": "lifetime"}], "budget": {"total": 1, "hard": True}, "variants": VARIANTS,
}  # fmt: skip


async def created(service: Service, campaign: int | str, **body: Any) -> dict[str, Any]:
    url = f"/v1/admin/campaigns/{campaign}/preview"
    async with service.client.post(url, json=body, headers=ADMIN) as response:
        assert response.status == 201, await response.text()
        assert response.headers["Cache-Control"] == "no-store"
        document: dict[str, Any] = await response.json()
        return document


async def change(service: Service, campaign: int, **fields: Any) -> None:
    headers = {**ADMIN, "If-Match": "*"}
    url = f"/v1/admin/campaigns/{campaign}"
    async with service.client.patch(url, json=fields, headers=headers) as response:
        assert response.status == 200, await response.text()
    await service.database.caught_up()


async def shown(service: Service, preview: str, user: str = "ani") -> tuple[LiveCampaign, LiveVariant]:
    return await previewed(service.delivery, preview, user, time.time())


async def refused(service: Service, preview: str, user: str = "ani") -> str:
    """Why the preview is refused, after checking how."""
    with pytest.raises(ProblemError) as raised:
        await shown(service, preview, user)
    assert raised.value.code.code == "bad_parameter"
    assert raised.value.members == {"parameter": "preview"}
    return raised.value.detail


async def test_a_campaign_that_nobody_would_be_shown_is_previewed(service: Service) -> None:
    campaign_id = await service.create("never", **NEVER)
    document = await created(service, "never")
    campaign, variant = await shown(service, document["preview"])
    assert (campaign.id, campaign.key, variant.key) == (campaign_id, "never", b"a")
    assert b'"title":"A"' in variant.head
    assert campaign.budget is None, "a preview takes no unit"
    path = urlsplit(document["path"])
    assert path.path == "/v1/popups"
    assert parse_qs(path.query) == {"placement": ["home"], "preview": [document["preview"]]}


async def test_the_token_names_a_variant_even_one_without_weight(service: Service) -> None:
    campaign_id = await service.create("two", variants=VARIANTS)
    preview = (await created(service, campaign_id, variant="b"))["preview"]
    assert (await shown(service, preview))[1].key == b"b"
    await change(service, campaign_id, variants=VARIANTS[:1])
    assert "'b', which is gone" in await refused(service, preview)


async def test_without_a_named_variant_it_is_the_users_own(service: Service) -> None:
    variants = [{"key": key, "weight": 1, "content": {}} for key in "abcd"]
    campaign_id = await service.create("four", variants=variants)
    preview = (await created(service, campaign_id))["preview"]
    for user in ("ani", "budi", "citra", "dewi"):
        (popup,) = await service.popups(user)
        assert (await shown(service, preview, user))[1].key.decode() == popup["variant"]


async def test_a_preview_for_one_user_and_for_a_time(service: Service) -> None:
    campaign_id = await service.create("draft", status="draft")
    before = time.time()
    document = await created(service, campaign_id, user_id="bud/i é", expires_in_seconds=60)
    expires_at = datetime.fromisoformat(document["expires_at"]).timestamp()
    assert before + 59 <= expires_at <= time.time() + 60
    await shown(service, document["preview"], "bud/i é")
    assert "another user" in await refused(service, document["preview"])
    with pytest.raises(ProblemError, match="expired"):
        await previewed(service.delivery, document["preview"], "bud/i é", expires_at)


async def test_an_edit_is_seen_at_the_next_request(service: Service) -> None:
    campaign_id = await service.create("draft", status="draft")
    preview = (await created(service, campaign_id))["preview"]
    for title in ("One", "Two"):
        await change(service, campaign_id, variants=[{"key": "a", "weight": 1, "content": {"title": title}}])
        assert f'"title":"{title}"'.encode() in (await shown(service, preview))[1].head


async def test_what_can_not_be_shown_is_refused_by_name(service: Service) -> None:
    campaign_id = await service.create("soon-archived")
    preview = (await created(service, campaign_id))["preview"]
    await change(service, campaign_id, status="archived")
    assert "archived" in await refused(service, preview)
    assert "no preview token" in await refused(service, "nonsense")
    gone = service.delivery.previews.sign(Preview(10**6, None, int(time.time()) + 60))
    assert "gone" in await refused(service, gone)
    await change(service, campaign_id, status="live")
    await (await service.database.primary()).execute("""UPDATE campaigns SET caps = '[{"limit": 0}]'""")
    await service.database.caught_up()
    assert "not valid" in await refused(service, preview)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"variant": "z"}, "variant"),
        ({"variant": 1}, "variant"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a\0"}, "user_id"),
        ({"expires_in_seconds": 59}, "expires_in_seconds"),
        ({"expires_in_seconds": 604_801}, "expires_in_seconds"),
        ({"expires": 60}, "expires"),
    ],
)
async def test_wrong_wishes_are_named(service: Service, body: dict[str, Any], field: str) -> None:
    await service.create("sale")
    url = "/v1/admin/campaigns/sale/preview"
    async with service.client.post(url, json=body, headers=ADMIN) as response:
        assert [error["field"] for error in (await problem(response, 422, "invalid"))["errors"]] == [field]


async def test_no_preview_of_what_is_archived_spoilt_or_not_there(service: Service) -> None:
    campaign_id = await service.create("sale", status="archived")
    url = f"/v1/admin/campaigns/{campaign_id}/preview"
    async with service.client.post(url, headers=ADMIN) as response:
        assert (await problem(response, 422, "invalid"))["errors"][0]["field"] == "status"
    async with service.client.post("/v1/admin/campaigns/none/preview", headers=ADMIN) as response:
        await problem(response, 404, "not_found")
    await (await service.database.primary()).execute("UPDATE campaigns SET variants = '[1]'")
    async with service.client.post(url, headers=ADMIN) as response:
        assert (await problem(response, 422, "invalid"))["errors"][0]["field"].startswith("variants.0")


async def test_a_draft_that_has_not_reached_the_replica_is_read_from_the_primary(
    service: Service, database: Database
) -> None:
    await service.create("old")
    async with replay_paused(database.cluster):
        document = {
            "key": "new", "name": "new", "placement": "home", "variants": VARIANTS,
        }  # fmt: skip
        async with service.client.post("/v1/admin/campaigns", json=document, headers=ADMIN) as response:
            assert response.status == 201
        preview = (await created(service, "new"))["preview"]
        assert (await shown(service, preview))[0].key == "new"


async def test_without_servers_503(start_service: ServiceFactory, database: Database) -> None:
    service = await start_service()
    preview = (await created(service, await service.create("sale")))["preview"]
    cluster = database.cluster
    async with without(cluster, cluster.replica):
        await until(lambda: _shows(service, preview), "it is read from the primary")
    async with without(cluster, cluster.replica, cluster.primary):
        with pytest.raises(ProblemError) as raised:
            await shown(service, preview)
        assert raised.value.code.code == "unavailable"
        assert raised.value.headers == {"Retry-After": "1"}


async def _shows(service: Service, preview: str) -> bool:
    try:
        return (await shown(service, preview))[0].key == "sale"
    except ProblemError:
        return False
