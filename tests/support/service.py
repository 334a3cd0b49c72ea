"""An api process's application on a real socket, inside the test's event loop, and a client for it."""

import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from api.app import create_app
from api.config import ApiConfig
from api.http.delivery import DELIVERY, Delivery
from api.http.server import HttpServer
from tayang.user_token import mint
from tests.support.database import Database
from tests.support.waiting import until

ADMIN_KEY = "the-admin-key-of-the-tests"
USER_SECRET = "the-user-secret-of-the-tests-is-long-enough"
TOKEN_SECRET = "the-token-secret-of-the-tests"


def offline_config() -> ApiConfig:
    """Of an application that is looked at, and never started."""
    return ApiConfig(
        primary_dsn="postgresql://nowhere/",
        replica_dsn="",
        admin_key=ADMIN_KEY,
        token_secrets=(TOKEN_SECRET,),
        user_jwt_secret=USER_SECRET,
    )


ServiceFactory = Callable[..., Awaitable["Service"]]


class Service:
    """`config` members override the test defaults; the merge runs only when a test calls it."""

    def __init__(
        self, database: Database, app: web.Application, server: HttpServer, address: tuple[str, int]
    ) -> None:
        self.database = database
        self.client = aiohttp.ClientSession(f"http://{address[0]}:{address[1]}")
        self.server = server
        self.address = address
        self._app = app

    @classmethod
    async def start(cls, database: Database, **config: Any) -> "Service":
        values: dict[str, Any] = {
            "primary_dsn": database.primary_dsn,
            "replica_dsn": database.replica_dsn,
            "admin_key": ADMIN_KEY,
            "token_secrets": (TOKEN_SECRET,),
            "user_jwt_secret": USER_SECRET,
            "stop_merge_seconds": 0.0,
            "user_max_requests_per_second": 1e6,  # a test is quicker than any phone
            "audience_apply_max_rows_per_second": 0,  # and waits for no pace
        }
        app = create_app(ApiConfig(**(values | config)))
        server = HttpServer(app)
        await server.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        host, port = listener.getsockname()
        server.start(listener)
        service = cls(database, app, server, (host, port))
        await until(service._ready_soon, "the service is ready")
        return service

    @property
    def delivery(self) -> Delivery:
        return self._app[DELIVERY]

    async def ready(self) -> bool:
        async with self.client.get("/readyz") as response:
            return response.ok

    async def _ready_soon(self) -> bool:
        """Without the wait for the reader's next heartbeat, which hundreds of tests would have."""
        reader = self.delivery.reader
        if not reader.answering and all(reader.in_use(server) for server in reader.servers):
            reader.catalog_announced(0)  # every catalog is newer: this only wakes the reader
        return await self.ready()

    async def close(self) -> None:
        await self.client.close()
        await self.server.close()

    async def create(self, key: str, **fields: Any) -> int:
        """A live campaign for everyone at placement `home`; returns its id once GET can see it."""
        document = {
            "key": key,
            "name": key,
            "status": "live",
            "placement": "home",
            "variants": [{"key": "a", "weight": 1, "content": {"title": key}}],
            **fields,
        }
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with self.client.post("/v1/admin/campaigns", json=document, headers=headers) as response:
            assert response.status == 201, await response.text()
            campaign = await response.json()
        await self.database.caught_up()
        return int(campaign["id"])

    async def popups(self, user: str, query: str = "placement=home") -> list[dict[str, Any]]:
        status, document = await self.get_popups(user, query)
        assert status == 200, document
        return list(document["popups"])

    async def get_popups(self, user: str, query: str = "placement=home") -> tuple[int, dict[str, Any]]:
        async with self.client.get(f"/v1/popups?{query}", headers=bearer(user)) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, user: str, document: Any) -> tuple[int, dict[str, Any]]:
        """POST /v1/impressions."""
        async with self.client.post("/v1/impressions", json=document, headers=bearer(user)) as response:
            return response.status, await response.json(content_type=None)

    async def interact(self, user: str, document: Any) -> tuple[int, dict[str, Any]]:
        """POST /v1/interactions."""
        async with self.client.post("/v1/interactions", json=document, headers=bearer(user)) as response:
            return response.status, await response.json(content_type=None)

    async def show(self, user: str, query: str = "placement=home", **event: Any) -> str:
        """Fetch the first popup and confirm that it was shown; returns its campaign."""
        popup = (await self.popups(user, query))[0]
        status, document = await self.post(user, {"token": popup["token"], **event})
        assert status == 202, document
        return str(popup["campaign"])


def bearer(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {user_jwt(user)}"}


_jwts: dict[str, tuple[str, float]] = {}


def user_jwt(user: str) -> str:
    token, minted = _jwts.get(user, ("", 0.0))
    if time.time() - minted > 3600:
        token = mint(USER_SECRET, user)
        _jwts[user] = (token, time.time())
    return token
