"""The service of a drill: an own primary with its replica, `tayang serve` and `tayang maintain`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from maintenance.prepare import prepare_database
from maintenance.settings import MaintenanceConfig
from tayang.embedded import EmbeddedCluster
from tests.acceptance.processes import Command, Shell
from tests.adversity.ground import Servers
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET
from tests.support.waiting import until

HOST: Final = "127.0.0.1"
_SECRETS: Final = {"admin_key": ADMIN_KEY, "token_secrets": TOKEN_SECRET, "user_jwt_secret": USER_SECRET}
#: Phones that ask as fast as they can.
_NO_PAUSES: Final = {"user_max_requests_per_second": 1e6}
_DATABASE: Final = "drill"


@dataclass
class Stack:
    cluster: EmbeddedCluster
    servers: Servers
    shell: Shell
    serve: Command
    maintain: Command
    settings: dict[str, object]

    @property
    def port(self) -> int:
        return self.shell.http_port

    @property
    def primary_dsn(self) -> str:
        return self.cluster.primary.dsn(_DATABASE)

    async def start_serving(self) -> None:
        self.serve = await self.shell.start("serve", **self.settings)

    async def start_maintaining(self) -> None:
        self.maintain = await self.shell.start("maintain", **self.settings)

    async def ready(self) -> None:
        await until(lambda: _ready(self.shell.url), "the service is ready", seconds=60)

    async def create_campaign(self, key: str, **fields: Any) -> int:
        """A live campaign at placement `home`; returns its id."""
        variants = [{"key": "a", "weight": 1, "content": {"title": key}}]
        document = {
            "key": key, "name": key, "status": "live", "placement": "home", "variants": variants, **fields,
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with (
            aiohttp.ClientSession(self.shell.url, headers=headers) as session,
            session.post("/v1/admin/campaigns", json=document) as response,
        ):
            assert response.status == 201, await response.text()
            return int((await response.json())["id"])


@asynccontextmanager
async def running_stack(
    cluster: EmbeddedCluster,
    servers: Servers,
    directory: Path,
    *,
    workers: int,
    several_hosts: bool = False,
    **settings: object,
) -> AsyncIterator[Stack]:
    """On a database of its own, dropped afterwards; then no process and no port of it is left.

    With `several_hosts` both DSNs name both servers.
    """
    await servers.run(_execute, cluster, f'CREATE DATABASE "{_DATABASE}"')
    dsn = cluster.primary.dsn(_DATABASE)
    await prepare_database(MaintenanceConfig(primary_dsn=dsn))
    every = {"primary_dsn": dsn, "replica_dsn": cluster.replica.dsn(_DATABASE), "workers": workers}
    if several_hosts:
        both = _both(dsn, cluster.replica.port)
        every |= {"primary_dsn": both, "replica_dsn": both}
    await servers.run(directory.mkdir)
    shell = Shell(directory, directory)
    values = _SECRETS | _NO_PAUSES | every | settings
    stack = Stack(
        cluster, servers, shell,
        await shell.start("serve", **values), await shell.start("maintain", **values), values,
    )  # fmt: skip
    try:
        await stack.ready()
        yield stack
    finally:
        await stack.serve.kill()
        await stack.maintain.kill()
        await shell.nothing_left()
        await servers.run(_execute, cluster, f'DROP DATABASE "{_DATABASE}" WITH (FORCE)')


def _both(dsn: str, port: int) -> str:
    """The DSN with a second port on the same host."""
    before, _, after = dsn.rpartition("/")
    return f"{before},{HOST}:{port}/{after}"


async def _ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession(url) as session, session.get("/readyz") as response:
            return response.ok
    except aiohttp.ClientError:
        return False


def _execute(cluster: EmbeddedCluster, statement: str) -> None:
    with cluster.primary.connect("postgres") as connection:
        connection.execute(statement)
