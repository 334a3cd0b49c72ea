"""What callers expect of HTTP beside the content: 304, gzip where it pays, and headers for browsers."""

from typing import Any

from multidict import CIMultiDictProxy

from api.access.table import SCOPES
from api.http.negotiation import COMPRESSED_MIN_BYTES
from tests.integration.admin_support import (  # noqa: F401  (pytest finds fixtures by name)
    CAMPAIGNS,
    Client,
    admin_client_fixture,
    campaign,
    created,
    problem,
)
from tests.support.service import ADMIN_KEY, Service, bearer

KEYS = "/v1/admin/keys"
POLICY = "/v1/admin/policy"
PACKED = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


async def headers_of(client: Client, path: str, **headers: str) -> tuple[int, CIMultiDictProxy[str]]:
    async with client.get(path, headers=headers) as response:
        assert (await response.read() == b"") == (response.status == 304)
        return response.status, response.headers


async def one_key(client: Client) -> str:
    async with client.post(KEYS, json={"name": "crm", "scopes": ["ingest"]}) as response:
        assert response.status == 201
        return str((await response.json())["id"])


async def test_what_has_not_changed_is_not_sent_again(admin_client: Client) -> None:
    await created(admin_client)
    one = f"keys/{await one_key(admin_client)}"
    for path in (
        "campaigns/sale",
        "campaigns",
        "campaigns/sale/audience",
        "policy",
        "test-users",
        "keys",
        one,
    ):
        await _check_conditions(admin_client, f"/v1/admin/{path}")


async def _check_conditions(client: Client, path: str) -> None:
    status, first = await headers_of(client, path)
    tag = first["ETag"]
    assert status == 200
    for named in (tag, f"W/{tag.removeprefix('W/')}", f'"other", {tag}', "*"):
        status, again = await headers_of(client, path, **{"If-None-Match": named})
        assert (status, again["ETag"], again["Vary"]) == (304, tag, "Accept-Encoding"), path
        assert again["Cache-Control"] == first["Cache-Control"] == "private, no-cache"
    for named in ('"other"', tag.strip('W/"'), ""):
        assert (await headers_of(client, path, **{"If-None-Match": named}))[0] == 200, path


async def test_a_change_changes_the_tag(admin_client: Client) -> None:
    sale = await created(admin_client)
    before = {
        path: (await headers_of(admin_client, path))[1]["ETag"] for path in (CAMPAIGNS, f"{CAMPAIGNS}/sale")
    }
    assert before[f"{CAMPAIGNS}/sale"] == f'"{sale["version"]}"'
    change = admin_client.patch(
        f"{CAMPAIGNS}/sale", json={"priority": 1}, headers={"If-Match": before.popitem()[1]}
    )
    async with change as response:
        assert response.status == 200
    for path, tag in before.items():
        assert (await headers_of(admin_client, path, **{"If-None-Match": tag}))[0] == 200


async def test_reports_and_explanations_are_never_the_same_twice(service: Service) -> None:
    await service.create("sale")
    admin = {"Authorization": f"Bearer {ADMIN_KEY}", "If-None-Match": "*"}
    for path in ("campaigns/sale/report", "explain?user_id=ani&placement=home"):
        async with service.client.get(f"/v1/admin/{path}", headers=admin) as response:
            assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
            assert "ETag" not in response.headers


async def test_long_answers_are_compressed_for_who_says_so(admin_client: Client) -> None:
    for number in range(5):
        await created(admin_client, key=f"sale-{number}")
    async with admin_client.get(CAMPAIGNS, headers=PLAIN) as response:
        whole = await response.read()
        assert "Content-Encoding" not in response.headers
        assert response.headers["Vary"] == "Accept-Encoding", "a cache must keep the two apart"
        assert len(whole) > COMPRESSED_MIN_BYTES
    async with admin_client.get(CAMPAIGNS, headers=PACKED) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert int(response.headers["Content-Length"]) < len(whole) / 3
        assert await response.read() == whole
    for refusing in ("gzip;q=0", "gzip;q=0.000, *", "br", "deflate", "*"):
        async with admin_client.get(CAMPAIGNS, headers={"Accept-Encoding": refusing}) as response:
            assert "Content-Encoding" not in response.headers, refusing


async def test_a_version_holds_though_it_came_compressed(admin_client: Client) -> None:
    """Its ETag is weak then: these are other bytes. It guards a change all the same."""
    content = {"title": "x" * COMPRESSED_MIN_BYTES}
    await created(admin_client, variants=[{"key": "a", "weight": 1, "content": content}])
    async with admin_client.get(f"{CAMPAIGNS}/sale", headers=PACKED) as response:
        tag = response.headers["ETag"]
        assert (tag, response.headers["Content-Encoding"]) == ('W/"1"', "gzip")
    change = admin_client.patch(f"{CAMPAIGNS}/sale", json={"priority": 1}, headers={"If-Match": tag})
    async with change as response:
        assert (response.status, response.headers["ETag"]) == (200, '"2"')


async def test_what_has_a_secret_is_never_compressed(service: Service) -> None:
    """Its length would tell if a part of the secret stands beside it in what somebody else chose: BREACH."""
    admin = {"Authorization": f"Bearer {ADMIN_KEY}", **PACKED}
    path, body = KEYS, {"name": "x" * 100, "scopes": list(SCOPES)}
    for _ in range(2):
        async with service.client.post(path, json=body, headers=admin) as response:
            made = await response.json()
            assert made["key"]
            assert "Content-Encoding" not in response.headers
        path, body = f"{KEYS}/{made['id']}/rotate", {}
    variants = [{"key": "a", "weight": 1, "content": {"body": "x" * 2 * COMPRESSED_MIN_BYTES}}]
    await service.create("sale", variants=variants)
    async with service.client.get(
        "/v1/popups?placement=home", headers={**bearer("ani"), **PACKED}
    ) as response:
        assert (await response.json())["popups"][0]["token"]
        assert "Content-Encoding" not in response.headers


async def test_browsers_are_told_not_to_guess_keep_or_tell(service: Service) -> None:
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    for path in (CAMPAIGNS, POLICY, "/healthz", "/metrics"):
        async with service.client.get(path, headers=admin) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["Cache-Control"] in ("private, no-cache", "no-store")


async def test_a_put_that_is_sent_again_changes_nothing(service: Service) -> None:
    """No new version, and no other entry in the audit log: also with the version that it was made from."""
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    await service.create("sale")
    for path, document in (
        (f"{CAMPAIGNS}/sale", campaign(priority=5)),
        (POLICY, {"caps": [{"limit": 5, "window": "day"}]}),
    ):
        for _ in range(3):
            change = service.client.put(path, json=document, headers={**admin, "If-Match": 'W/"1", "7"'})
            async with change as response:
                assert (response.status, response.headers["ETag"]) == (200, '"2"'), await response.text()
        other = service.client.put(
            path, json={**document, **_other(path)}, headers={**admin, "If-Match": '"1"'}
        )
        async with other as response:
            assert (await problem(response, 412, "version_conflict"))["current_version"] == 2
    async with service.client.get("/v1/admin/audit", headers=admin) as response:
        entries = (await response.json())["entries"]
    assert [(entry["kind"], entry["action"]) for entry in entries] == [
        ("policy", "update"),
        ("campaign", "update"),
        ("campaign", "insert"),
    ]


def _other(path: str) -> dict[str, Any]:
    return {"min_gap": "1m"} if path == POLICY else {"priority": 6}
