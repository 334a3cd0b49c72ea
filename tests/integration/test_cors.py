"""Web pages of other origins: those that the setting lists may call, and nobody else notices."""

from typing import Final

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import create_backoffice
from api.config import ApiConfig
from api.contract.headers import HEADERS
from api.contract.routes import OPERATIONS
from tests.support.service import ADMIN_KEY, Service, ServiceFactory, bearer

PAGE: Final = "https://app.example.com"
STRANGER: Final = "https://app.example.com.evil.test"
POPUPS: Final = "/v1/popups?placement=home"
ONE: Final = "/v1/admin/campaigns/sale"
#: By the contract.
SENT: Final = {each.name for one in OPERATIONS.values() for each in one.parameters if each.where == "header"}
#: Or of no use to a page: browsers and caches answer for Vary.
READABLE_ANYWAY: Final = {"Cache-Control", "Vary"}


def preflight(method: str, origin: str = PAGE) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }


@pytest.fixture
async def shared(start_service: ServiceFactory) -> Service:
    return await start_service(cors_origins=("http://localhost:5173", PAGE))


def shown(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("Access-Control-")}


PREFLIGHTS: Final = (
    (POPUPS, "GET", "GET"),
    ("/v1/impressions", "POST", "POST"),
    (ONE, "PUT", "DELETE, GET, HEAD, PATCH, PUT"),
)


async def test_a_preflight_is_answered_without_a_key(shared: Service) -> None:
    for path, method, allowed in PREFLIGHTS:
        async with shared.client.options(path, headers=preflight(method)) as response:
            assert (response.status, await response.read()) == (204, b"")
            headers = shown(response)
            assert response.headers["Vary"] == "Origin"
        assert headers["Access-Control-Allow-Origin"] == PAGE
        assert headers["Access-Control-Allow-Methods"] == allowed
        named = set(headers["Access-Control-Allow-Headers"].split(", "))
        assert {"Authorization", "Content-Type", "If-None-Match", *SENT} <= named
        assert "Access-Control-Allow-Credentials" not in headers


async def test_a_page_may_read_answers_and_errors(shared: Service) -> None:
    await shared.create("sale")
    for path, headers, status in (
        (POPUPS, bearer("ani"), 200),
        (POPUPS, {}, 401),
        ("/v1/popups", bearer("ani"), 400),
        ("/nowhere", {}, 404),
        (ONE, {"Authorization": f"Bearer {ADMIN_KEY}"}, 200),
    ):
        async with shared.client.get(path, headers={"Origin": PAGE, **headers}) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            readable = set(response.headers["Access-Control-Expose-Headers"].split(", "))
            assert set(HEADERS) - READABLE_ANYWAY <= readable
            assert response.headers["Vary"].split(", ")[-1] == "Origin"


async def test_other_pages_are_told_nothing(shared: Service) -> None:
    for origin in (STRANGER, "null", "", "http://app.example.com", PAGE + "/", PAGE.upper()):
        async with shared.client.options(POPUPS, headers=preflight("GET", origin)) as response:
            assert (response.status, shown(response)) == (403, {})
        headers = {"Origin": origin, **bearer("ani")}
        async with shared.client.get(POPUPS, headers=headers) as response:
            assert (response.status, shown(response), response.headers["Vary"]) == (200, {}, "Origin")


async def test_without_an_origin_it_is_no_preflight(shared: Service) -> None:
    async with shared.client.options(POPUPS) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")
    async with shared.client.options("/nowhere", headers=preflight("GET")) as response:
        assert response.status == 404


async def test_it_is_off_by_default(service: Service) -> None:
    async with service.client.options(POPUPS, headers=preflight("GET")) as response:
        assert (response.status, shown(response)) == (405, {})
    async with service.client.get(POPUPS, headers={"Origin": PAGE, **bearer("ani")}) as response:
        assert (response.status, shown(response)) == (200, {})
        assert "Vary" not in response.headers


async def test_the_backoffice_has_it_too(shared: Service) -> None:
    app = create_backoffice(
        ApiConfig(
            primary_dsn=shared.database.primary_dsn,
            replica_dsn="",
            admin_key=ADMIN_KEY,
            token_secrets=("s" * 16,),
            user_jwt_secret="u" * 32,
            cors_origins=(PAGE,),
        )
    )
    async with (
        TestClient(TestServer(app)) as client,
        client.options(ONE, headers=preflight("PUT")) as response,
    ):
        assert (response.status, shown(response)["Access-Control-Allow-Origin"]) == (204, PAGE)
