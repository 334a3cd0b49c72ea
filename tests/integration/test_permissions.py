"""Every route and every kind of caller, against the expectations written out below."""

from typing import Final
from uuid import UUID

import pytest
from aiohttp import web

from api.access import guard
from api.access.guard import check_guarded, guarded
from api.access.table import SCOPES, TABLE
from api.app import create_app, create_backoffice
from api.config import ApiConfig
from tests.support.keys import holding, new_key
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET, Service, bearer

#: In the order of the columns below.
CALLERS: Final = (
    "nobody",  # no Authorization
    "own",  # a user's JWT
    "named",  # a user's JWT, and ?user_id= the same user
    "foreign",  # a user's JWT, and ?user_id= another user
    "deliver",  # keys with one scope, and ?user_id=
    "ingest",
    "campaigns:read",
    "campaigns:write",
    "users:erase",
    "admin",
    "bootstrap",  # TAYANG_ADMIN_KEY
    "revoked",  # a key that had all scopes
    "expired",  # the same
)

#: + let through, 4 refused as a stranger (401), x refused as not permitted (403).
EXPECTED: Final = """
                                               no own nam for del ing rd  wr  era adm boo rev exp
GET    /healthz                                +  +   +   +   +   +   +   +   +   +   +   +   +
GET    /readyz                                 +  +   +   +   +   +   +   +   +   +   +   +   +
GET    /metrics                                +  +   +   +   +   +   +   +   +   +   +   +   +
GET    /openapi.json                           +  +   +   +   +   +   +   +   +   +   +   +   +
GET    /docs                                   +  +   +   +   +   +   +   +   +   +   +   +   +
GET    /docs/style.css                         +  +   +   +   +   +   +   +   +   +   +   +   +
GET    /v1/popups                              4  +   +   x   +   x   x   x   x   x   4   4   4
POST   /v1/impressions                         4  +   +   x   x   +   x   x   x   x   4   4   4
POST   /v1/interactions                        4  +   +   x   x   +   x   x   x   x   4   4   4
GET    /v1/admin/campaigns                     4  4   4   4   x   x   +   x   x   +   +   4   4
POST   /v1/admin/campaigns                     4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/campaigns/{id}                4  4   4   4   x   x   +   x   x   +   +   4   4
PUT    /v1/admin/campaigns/{id}                4  4   4   4   x   x   x   +   x   +   +   4   4
PATCH  /v1/admin/campaigns/{id}                4  4   4   4   x   x   x   +   x   +   +   4   4
DELETE /v1/admin/campaigns/{id}                4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/campaigns/{id}/audience       4  4   4   4   x   x   +   x   x   +   +   4   4
PUT    /v1/admin/campaigns/{id}/audience       4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/campaigns/{id}/audience/uploads 4  4   4   4   x   x   +   x   x   +   +   4   4
POST   /v1/admin/campaigns/{id}/audience/uploads 4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/campaigns/{id}/audience/uploads/{upload} 4  4  4  4  x  x  +  x  x  +  +  4  4
PATCH  /v1/admin/campaigns/{id}/audience/uploads/{upload} 4  4  4  4  x  x  x  +  x  +  +  4  4
DELETE /v1/admin/campaigns/{id}/audience/uploads/{upload} 4  4  4  4  x  x  x  +  x  +  +  4  4
POST   /v1/admin/campaigns/{id}/audience/uploads/{upload}/complete 4 4 4 4 x x x + x + + 4 4
POST   /v1/admin/campaigns/{id}/preview        4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/campaigns/{id}/no-shows       4  4   4   4   x   x   +   x   x   +   +   4   4
GET    /v1/admin/campaigns/{id}/report         4  4   4   4   x   x   +   x   x   +   +   4   4
GET    /v1/admin/policy                        4  4   4   4   x   x   +   x   x   +   +   4   4
PUT    /v1/admin/policy                        4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/test-users                    4  4   4   4   x   x   +   x   x   +   +   4   4
PUT    /v1/admin/test-users/{user_id}          4  4   4   4   x   x   x   +   x   +   +   4   4
DELETE /v1/admin/test-users/{user_id}          4  4   4   4   x   x   x   +   x   +   +   4   4
GET    /v1/admin/explain                       4  4   4   4   x   x   +   x   x   +   +   4   4
DELETE /v1/admin/users/{user_id}               4  4   4   4   x   x   x   x   +   +   +   4   4
GET    /v1/admin/erasures/{id}                 4  4   4   4   x   x   x   x   +   +   +   4   4
GET    /v1/admin/audit                         4  4   4   4   x   x   x   x   x   +   +   4   4
GET    /v1/admin/keys                          4  4   4   4   x   x   x   x   x   +   +   4   4
POST   /v1/admin/keys                          4  4   4   4   x   x   x   x   x   +   +   4   4
GET    /v1/admin/keys/{id}                     4  4   4   4   x   x   x   x   x   +   +   4   4
POST   /v1/admin/keys/{id}/rotate              4  4   4   4   x   x   x   x   x   +   +   4   4
DELETE /v1/admin/keys/{id}                     4  4   4   4   x   x   x   x   x   +   +   4   4
"""

ROWS: Final = {
    (cells[0], cells[1]): "".join(cells[2:]) for line in EXPECTED.splitlines()[2:] if (cells := line.split())
}
USER: Final = "ani"
#: Nothing that is there: who is let through gets a 4xx of another kind, and changes nothing.
_NOTHING: Final = {"{id}": "999999999", "{user_id}": "nobody", "{upload}": str(UUID(int=0))}


def config() -> ApiConfig:
    return ApiConfig(
        primary_dsn="postgresql://nowhere/",
        replica_dsn="",
        admin_key=ADMIN_KEY,
        token_secrets=(TOKEN_SECRET,),
        user_jwt_secret=USER_SECRET,
    )


def routes(app: web.Application) -> set[tuple[str, str]]:
    """HEAD is GET's, with its handler."""
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def test_the_expectations_are_of_every_route_and_every_scope() -> None:
    assert set(ROWS) == routes(create_app(config()))
    assert routes(create_backoffice(config())) < set(ROWS)
    assert {f"{method} {path}" for method, path in ROWS} == set(TABLE)
    assert set(SCOPES) <= set(CALLERS)
    assert all(len(row) == len(CALLERS) for row in ROWS.values())


async def test_every_route_lets_in_whom_it_should(service: Service) -> None:
    headers = await _credentials(service)
    found = dict.fromkeys(ROWS, "")
    for method, path in ROWS:
        for caller in CALLERS:
            status = await _status(service, method, path, caller, headers[caller])
            assert status < 500, (method, path, caller, status)
            found[method, path] += {401: "4", 403: "x"}.get(status, "+")
    assert found == ROWS


async def test_a_head_is_guarded_as_its_get(service: Service) -> None:
    for path, status in (("/v1/admin/campaigns", 401), ("/v1/admin/keys", 401), ("/healthz", 200)):
        async with service.client.head(path) as response:
            assert response.status == status, path


def test_a_route_that_is_not_in_the_table_keeps_the_service_from_starting() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    with pytest.raises(ValueError, match=r"nobody may call GET /v1/admin/secrets: .*table\.py"):
        guarded([web.get("/v1/admin/secrets", handler)])
    app = create_app(config())
    app.router.add_get("/v1/admin/secrets", handler)
    with pytest.raises(ValueError, match="/v1/admin/secrets is not guarded"):
        check_guarded(app)


def test_a_path_with_a_pattern_is_the_one_of_the_table() -> None:
    assert guard._PATTERN.sub(r"\1}", "/a/{user_id:[^/]+}/{n:\\d{2}}/{id}") == "/a/{user_id}/{n}/{id}"


async def _credentials(service: Service) -> dict[str, dict[str, str]]:
    database = service.database
    keys: dict[str, dict[str, str]] = {
        scope: holding((await new_key(database, scope))[1]) for scope in SCOPES
    }
    revoked, revoked_text = await new_key(database, *SCOPES)
    expired, expired_text = await new_key(database, *SCOPES)
    primary = await database.primary()
    await primary.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", revoked)
    await primary.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", expired)
    return {
        "nobody": {},
        **dict.fromkeys(("own", "named", "foreign"), bearer(USER)),
        **keys,
        "bootstrap": holding(ADMIN_KEY),
        "revoked": holding(revoked_text),
        "expired": holding(expired_text),
    }


async def _status(service: Service, method: str, path: str, caller: str, headers: dict[str, str]) -> int:
    for name, value in _NOTHING.items():
        path = path.replace(name, value)
    query = {"placement": "home"}
    if caller not in ("nobody", "own") and path != "/v1/admin/explain":
        query["user_id"] = "budi" if caller == "foreign" else USER
    if path == "/v1/admin/explain":
        query["user_id"] = USER
    if path.endswith("/audience") and method == "PUT":
        query = {}
    async with service.client.request(method, path, params=query, headers=headers) as response:
        return response.status
