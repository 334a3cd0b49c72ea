"""The admin API alone, over HTTP, on a real database."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from api.access.ring import KEYS, KeyRing
from api.admin import admin_routes
from api.admin.store import init_connection
from api.config import ApiConfig
from api.http.middleware import problems
from api.keys import CONFIG, PRIMARY_POOL

ADMIN_KEY = "the-admin-key-of-the-tests"
CAMPAIGNS = "/v1/admin/campaigns"

Client = TestClient[web.Request, web.Application]


class Database(Protocol):
    @property
    def primary_dsn(self) -> str: ...


def campaign(**fields: Any) -> dict[str, Any]:
    """A small valid campaign with the key "sale"."""
    variants = [{"key": "a", "weight": 1, "content": {"title": "Hi"}}]
    return {"key": "sale", "name": "Sale", "placement": "home", "variants": variants, **fields}


@asynccontextmanager
async def serve_admin(
    dsn: str, *, admin_key: str = ADMIN_KEY, pool_max_connections: int = 4, **settings: Any
) -> AsyncIterator[Client]:
    """A client with the admin key in every request, and a pool that connects when it is needed."""
    app = web.Application(middlewares=[problems], handler_args={"auto_decompress": False})
    app[CONFIG] = ApiConfig(
        primary_dsn=dsn, replica_dsn="", admin_key=admin_key, token_secrets=("s" * 16,), **settings
    )
    app.add_routes(admin_routes())
    pool = asyncpg.create_pool(dsn, min_size=0, max_size=pool_max_connections, init=init_connection)
    async with pool:
        app[PRIMARY_POOL] = pool
        app[KEYS] = KeyRing(admin_key, pool.fetch, poll_seconds=60, max_age_seconds=60)
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with TestClient(TestServer(app), headers=headers) as client:
            yield client


@pytest.fixture(name="admin_client")
async def admin_client_fixture(database: Database) -> AsyncIterator[Client]:
    async with serve_admin(database.primary_dsn) as client:
        yield client


@pytest.fixture(name="connection")
async def connection_fixture(database: Database) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database.primary_dsn)
    yield opened
    await opened.close()


async def created(client: Client, **fields: Any) -> dict[str, Any]:
    async with client.post(CAMPAIGNS, json=campaign(**fields)) as response:
        assert response.status == 201, await response.text()
        document: dict[str, Any] = await response.json()
        return document


async def problem(response: ClientResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document, after checking what every one has."""
    text = await response.text()
    assert response.status == status, text
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = json.loads(text)
    assert document["code"] == code, text
    assert document["status"] == status
    assert document["detail"]
    return document
