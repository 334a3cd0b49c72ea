"""Users' JWTs over HTTP: keys that are replaced while the service runs, and headers that are not one."""

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tayang.user_token import mint
from tests.support.jwts import b64, public_jwk, signed, write_jwks
from tests.support.raw_http import RawClient
from tests.support.service import ADMIN_KEY, USER_SECRET, Service, ServiceFactory, user_jwt
from tests.support.waiting import until


async def status_for(service: Service, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with service.client.get("/v1/popups?placement=home", headers=headers) as response:
        return response.status


async def metrics(service: Service) -> dict[str, float]:
    async with service.client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {
        " ".join(
            [sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "worker")]
        ): (sample.value)
        for family in families
        for sample in family.samples
    }


async def test_keys_are_rotated_while_users_are_served(start_service: ServiceFactory, tmp_path: Path) -> None:
    file = write_jwks(tmp_path / "jwks.json", [public_jwk("RS256", kid="old")])
    service = await start_service(
        user_jwt_secret="", user_jwt_jwks_file=file, user_jwt_jwks_poll_seconds=0.01
    )
    old, new = signed("RS256", kid="old"), signed("ES256", kid="new")
    assert [await status_for(service, token) for token in (old, new)] == [200, 401]

    write_jwks(file, [public_jwk("RS256", kid="old"), public_jwk("ES256", kid="new")])
    await _until_known(service, new)
    assert await status_for(service, old) == 200

    file.write_text('{"keys":[')
    await until(lambda: _metric(service, "tayang_user_jwks_broken"), "the broken file is noticed")
    assert [await status_for(service, token) for token in (old, new)] == [200, 200]

    write_jwks(file, [public_jwk("ES256", kid="new")])

    async def old_is_refused() -> bool:
        return await status_for(service, old) == 401

    await until(old_is_refused, "the old key is gone, though its token was remembered")
    assert await status_for(service, new) == 200
    figures = await metrics(service)
    assert figures["tayang_user_jwt_keys"] == 1
    assert figures["tayang_user_jwks_broken"] == 0
    assert figures["tayang_user_jwks_loads_total"] == 3
    assert figures["tayang_user_jwt_verified_total ES256 new"] == 1
    assert figures["tayang_user_jwt_refused_total unknown_key"] >= 2


async def _until_known(service: Service, token: str) -> None:
    async def known() -> bool:
        return await status_for(service, token) == 200

    await until(known, "the key is known")


async def _metric(service: Service, name: str) -> float:
    return (await metrics(service))[name]


@pytest.mark.parametrize(
    ("target", "first", "second"),
    [
        ("GET /v1/popups?placement=home", "user", "user"),
        ("GET /v1/popups?placement=home", "user", "other"),
        ("GET /v1/popups?placement=home", "user", "empty"),
        ("POST /v1/impressions", "other", "user"),
        ("POST /v1/interactions", "user", "other"),
        ("GET /v1/admin/campaigns", "admin", "other"),
        ("GET /v1/admin/campaigns", "other", "admin"),
    ],
)
async def test_two_authorization_headers_are_refused(
    service: Service, target: str, first: str, second: str
) -> None:
    """Whichever of them is good: a gateway may have looked at the other one."""
    values = {"user": user_jwt("ani"), "other": user_jwt("budi"), "admin": ADMIN_KEY, "empty": ""}
    fields = [f"authorization: Bearer {values[first]}", f"Authorization: Bearer {values[second]}"]
    client = RawClient(*service.address)
    lines = [f"{target} HTTP/1.1", "Host: test", "Content-Length: 2", *fields, "", "{}"]
    answer = await client.send("\r\n".join(lines).encode())
    await client.close()
    document = json.loads(answer.body)
    assert (answer.status, document["code"]) == (400, "bad_request")
    assert "sent twice" in document["detail"]


@pytest.mark.parametrize(("size", "status"), [(7000, 401), (8100, 401), (9000, 431), (60_000, 431)])
async def test_a_huge_token_is_refused(service: Service, size: int, status: int) -> None:
    head = b64(b'{"alg":"HS256"}')
    token = f"{head}.{'A' * size}.AAAA"
    client = RawClient(*service.address)
    answer = await client.request(
        "GET", "/v1/popups?placement=home", headers={"Authorization": f"Bearer {token}"}
    )
    await client.close()
    assert answer.status == status
    assert await status_for(service, user_jwt("ani")) == 200


async def test_audience_and_issuer_are_settings(start_service: ServiceFactory) -> None:
    service = await start_service(user_jwt_audience=("app",), user_jwt_issuer=("https://login",))
    assert await status_for(service, user_jwt("ani")) == 401
    for iss, status in (("https://evil", 401), ("https://login", 200)):
        token = mint(USER_SECRET, "ani", aud="app", iss=iss)
        assert await status_for(service, token) == status
