"""`GET /v1/admin/explain`, asked of an api process or of a backoffice."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp

from api.app import create_backoffice
from api.config import ApiConfig
from api.http.server import HttpServer
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET
from tests.support.waiting import until

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
Document = dict[str, Any]


async def explained(
    client: aiohttp.ClientSession, user: str, placement: str = "home", **parameters: object
) -> Document:
    """The whole answer."""
    status, document = await ask(client, user_id=user, placement=placement, **parameters)
    assert status == 200, document
    return document


async def verdict(
    client: aiohttp.ClientSession, user: str, campaign: str, placement: str = "home", **parameters: object
) -> Document:
    """Of one campaign."""
    answer = await explained(client, user, placement, campaign=campaign, **parameters)
    (told,) = answer["campaigns"]
    return dict(told)


async def ask(client: aiohttp.ClientSession, **parameters: object) -> tuple[int, Document]:
    query = urlencode(parameters)
    async with client.get(f"/v1/admin/explain?{query}", headers=ADMIN) as response:
        return response.status, await response.json(content_type=None)


def texts(told: Document) -> list[str]:
    return [reason["text"] for reason in told["reasons"]]


def codes(told: Document) -> list[str]:
    return [reason["code"] for reason in told["reasons"]]


@asynccontextmanager
async def backoffice(database: Database) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a backoffice's application on a real socket."""
    config = ApiConfig(
        primary_dsn=database.primary_dsn,
        replica_dsn=database.replica_dsn,
        admin_key=ADMIN_KEY,
        token_secrets=(TOKEN_SECRET,),
        user_jwt_secret=USER_SECRET,
    )
    server = HttpServer(create_backoffice(config))
    await server.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    server.start(listener)
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:

            async def answers() -> bool:
                return (await ask(client, user_id="nobody", placement="home"))[0] == 200

            await until(answers, "the backoffice explains")
            yield client
    finally:
        await server.close()
