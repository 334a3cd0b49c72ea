"""API keys: made, shown once, hashed, rotated, revoked on every process, and what they may do for users."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.access import store
from api.access.ring import KeyRing
from api.errors import ProblemError
from buffer.connection import ConnectionFailedError
from tests.support.database import Database
from tests.support.explained import ADMIN, backoffice
from tests.support.keys import holding, new_key
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.waiting import until

KEYS = "/v1/admin/keys"
LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()


async def call(
    client: Any, method: str, path: str, *, headers: dict[str, str] = ADMIN, **options: Any
) -> tuple[int, Any]:
    async with client.request(method, path, headers=headers, **options) as response:
        return response.status, await response.json(content_type=None) if response.status != 204 else None


async def made(service: Service, *scopes: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "crm", "scopes": list(scopes), **fields}
    status, document = await call(service.client, "POST", KEYS, json=body)
    assert status == 201, document
    return dict(document)


async def accepted(client: Any, text: str, path: str = "/v1/admin/campaigns") -> bool:
    status, document = await call(client, "GET", path, headers=holding(text))
    assert status in (200, 401), document
    return status == 200


async def test_a_key_is_shown_once_and_stored_as_a_hash(service: Service) -> None:
    key = await made(service, "admin", "campaigns:read", "admin", expires_at=LATER)
    text = key.pop("key")
    assert text.startswith(f"tyk_{key['id']}_")
    assert (key["scopes"], key["status"]) == (["campaigns:read", "admin"], "active")

    assert await call(service.client, "GET", f"{KEYS}/{key['id']}", headers=holding(text)) == (200, key)
    assert await call(service.client, "GET", KEYS) == (200, {"keys": [key], "next_cursor": None})
    primary = await service.database.primary()
    stored = await primary.fetchval(
        "SELECT string_agg(k::text, ' ') || string_agg(s::text, ' ') FROM api_keys AS k, api_key_secrets AS s"
    )
    assert text not in stored
    assert text.rpartition("_")[2] not in stored
    assert await primary.fetchval("SELECT sha256($1::bytea) = hash FROM api_key_secrets", text.encode())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["admin"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "\0", "scopes": ["admin"]}, "name"),
        ({"name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "scopes": ["admin"], "id": "0"}, "id"),
    ],
)
async def test_wrong_fields_are_named(service: Service, body: dict[str, Any], field: str) -> None:
    status, document = await call(service.client, "POST", KEYS, json=body)
    assert (status, document["errors"][0]["field"]) == (422, field), document


async def test_a_revoked_key_is_refused_by_every_process(
    start_service: ServiceFactory, database: Database
) -> None:
    """Also by those that are not told, and it stays so. How soon: docs/decisions/0022."""
    first, second = await start_service(), await start_service(peer_announcements="off")
    async with backoffice(database) as office:
        everywhere = (first.client, second.client, office)
        key = await made(first, "campaigns:read")
        assert [await accepted(client, key["key"]) for client in everywhere] == [True] * 3

        assert await call(first.client, "DELETE", f"{KEYS}/{key['id']}") == (204, None)
        assert await call(first.client, "DELETE", f"{KEYS}/{key['id']}") == (204, None)

        for client in everywhere:

            async def refused(client: Any = client) -> bool:
                return not await accepted(client, key["key"])

            await until(refused, "the revoked key is refused")
    status, document = await call(first.client, "GET", f"{KEYS}/{key['id']}")
    assert (status, document["status"]) == (200, "revoked")
    assert (await call(first.client, "POST", f"{KEYS}/{key['id']}/rotate"))[0] == 404


async def test_a_rotated_key_goes_on_for_the_overlap(service: Service) -> None:
    key = await made(service, "campaigns:read")
    path = f"{KEYS}/{key['id']}/rotate"
    _, lost = await call(service.client, "POST", path)  # an answer that never arrived
    _, second = await call(service.client, "POST", path, json={"overlap_seconds": 3600})
    for text in (key["key"], lost["key"], second["key"]):
        assert await accepted(service.client, text)
    assert second["id"] == key["id"]
    assert second["rotated_at"] >= lost["rotated_at"]

    _, third = await call(service.client, "POST", path, json={"overlap_seconds": 0})
    assert await accepted(service.client, third["key"])

    async def ended() -> bool:
        return not any([await accepted(service.client, each["key"]) for each in (key, lost, second)])

    await until(ended, "the older secrets are refused")
    assert await accepted(service.client, third["key"])
    status, document = await call(service.client, "POST", path, json={"overlap_seconds": 31 * 86_400})
    assert (status, document["errors"][0]["field"]) == (422, "overlap_seconds")


async def test_an_overlap_never_prolongs_an_earlier_one(database: Database) -> None:
    key_id, _ = await new_key(database, "admin")
    primary = await database.primary()
    await store.rotate_key(primary, key_id, overlap_seconds=60)
    await store.rotate_key(primary, key_id, overlap_seconds=86_400)
    first = await primary.fetchval(
        "SELECT expires_at <= now() + interval '60 s' FROM api_key_secrets ORDER BY created_at LIMIT 1"
    )
    assert first


async def test_a_key_acts_for_the_user_that_it_names(service: Service) -> None:
    await service.create("sale", caps=[{"limit": 1, "window": "lifetime"}])
    _, deliver = await new_key(service.database, "deliver")
    _, ingest = await new_key(service.database, "ingest")
    query = "/v1/popups?placement=home&user_id=a%20b"

    _, answer = await call(service.client, "GET", query, headers=holding(deliver))
    event = {"token": answer["popups"][0]["token"]}
    post = ("POST", "/v1/impressions?user_id=")
    status, _ = await call(service.client, post[0], post[1] + "a%20b", headers=holding(ingest), json=event)
    assert status == 202
    assert await service.popups("a b") == []

    status, problem = await call(service.client, post[0], post[1] + "c", headers=holding(ingest), json=event)
    assert (status, problem["code"]) == (403, "token_foreign")
    for path, detail in (
        ("/v1/popups?placement=home", "user_id is missing"),
        ("/v1/popups?placement=home&user_id=", "user_id is missing"),
        ("/v1/popups?placement=home&xuser_id=a", "user_id is missing"),
        ("/v1/popups?placement=home&user_id=a&user_id=b", "user_id is given twice"),
        ("/v1/popups?placement=home&user_id=%00", "user_id contains U+0000"),
        ("/v1/popups?placement=home&user_id=%ff", "user_id is not UTF-8"),
        (f"/v1/popups?placement=home&user_id={'a' * 129}", "user_id is longer"),
    ):
        status, problem = await call(service.client, "GET", path, headers=holding(deliver))
        assert (status, problem["code"], problem["parameter"]) == (400, "bad_parameter", "user_id")
        assert problem["detail"].startswith(detail)


async def test_a_user_may_name_only_himself(service: Service) -> None:
    for user, status in (("ani", 200), ("budi", 403), ("ani%00", 400)):
        path = f"/v1/popups?placement=home&user_id={user}"
        assert (await call(service.client, "GET", path, headers=bearer("ani")))[0] == status


@pytest.mark.parametrize(
    "text", ["tyk_", "tyk_" + "0" * 12, f"tyk_{'0' * 12}_{'0' * 64}", f"tyk_{'0' * 12}_{'0' * 64}é", ""]
)
async def test_made_up_keys_are_refused(service: Service, text: str) -> None:
    for path in ("/v1/admin/campaigns", "/v1/popups?placement=home&user_id=ani"):
        status, problem = await call(service.client, "GET", path, headers=holding(text))
        assert (status, problem["code"]) == (401, "unauthorized")


async def test_at_most_so_many_keys_hold(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_KEYS", 3)
    primary = await database.primary()
    await primary.execute(
        "INSERT INTO api_keys (id, name, scopes, expires_at) VALUES ('aaaaaaaaaaaa', 'old', '{admin}', now())"
    )
    body = {"name": "x", "scopes": ["admin"]}
    answers = await asyncio.gather(*(call(service.client, "POST", KEYS, json=body) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [201, 201, 201, 409]
    _, page = await call(service.client, "GET", f"{KEYS}?limit=3")
    assert len(page["keys"]) == 3
    _, rest = await call(service.client, "GET", f"{KEYS}?cursor={page['next_cursor']}")
    assert (len(rest["keys"]), rest["next_cursor"]) == (1, None)


async def test_without_the_primary_keys_go_on_for_a_while_only(database: Database) -> None:
    """Then they are neither accepted nor called wrong: one may have been revoked."""
    primary, now = await database.primary(), 0.0
    _, text = await new_key(database, "admin")
    away = False

    async def fetch(*arguments: Any) -> Any:
        if away:
            raise ConnectionFailedError("away")
        return await primary.fetch(*arguments)

    ring = KeyRing("", fetch, poll_seconds=0.01, max_age_seconds=300, clock=lambda: now)
    task = asyncio.create_task(ring.run())
    try:
        assert await ring.find(text) is not None
        away, now = True, 299.0
        assert await ring.find(text) is not None
        now = 302.0
        with pytest.raises(ProblemError, match="unavailable"):
            await ring.find(text)
        away = False

        async def holds_again() -> bool:
            try:
                return await ring.find(text) is not None
            except ProblemError:
                return False

        await until(holds_again, "the key holds again")
    finally:
        task.cancel()
