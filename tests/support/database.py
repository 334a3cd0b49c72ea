"""A test's database, on both servers, and what tests do with it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from maintenance.merge import MergeResult, merge_all
from tayang.embedded import EmbeddedCluster
from tests.support.waiting import until

_numbers = itertools.count(1)
_SETTINGS = {"timezone": "UTC", "jit": "off"}


@asynccontextmanager
async def new_database(cluster: EmbeddedCluster, template: str) -> AsyncIterator["Database"]:
    """A copy of `template`, dropped afterwards, also when the test has crashed the servers."""
    name = f"test_{next(_numbers)}"
    await _execute(cluster, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    database = Database(name, cluster)
    await database.caught_up()
    try:
        yield database
    finally:
        await database.close()
        await _execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(cluster: EmbeddedCluster, statement: str) -> None:
    connection = await asyncpg.connect(cluster.primary.dsn("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


class Database:
    def __init__(self, name: str, cluster: EmbeddedCluster) -> None:
        self.name = name
        self.cluster = cluster
        self._connections: dict[str, asyncpg.Connection] = {}

    @property
    def primary_dsn(self) -> str:
        return self.cluster.primary.dsn(self.name)

    @property
    def replica_dsn(self) -> str:
        return self.cluster.replica.dsn(self.name)

    async def primary(self) -> asyncpg.Connection:
        """A connection that the test shares with its helpers; reopened if it was lost."""
        return await self._connection(self.primary_dsn)

    async def replica(self) -> asyncpg.Connection:
        return await self._connection(self.replica_dsn)

    async def merge(self, now: datetime | None = None) -> MergeResult:
        """What `tayang merge` does; returns when the replica shows it."""
        result = await merge_all(await self.primary(), now or datetime.now(UTC))
        await self.caught_up()
        return result

    async def caught_up(self) -> None:
        """Return when the replica has replayed what the primary has written so far."""
        primary = await self.primary()
        position = await primary.fetchval("SELECT pg_current_wal_flush_lsn()")
        replica = await asyncpg.connect(self.cluster.replica.dsn("postgres"))
        try:

            async def replayed() -> Any:
                return await replica.fetchval("SELECT pg_last_wal_replay_lsn() >= $1", position)

            await until(replayed, "the replica has caught up")
        finally:
            await replica.close()

    async def close(self) -> None:
        """Let go of the connections; the next use opens new ones."""
        for connection in self._connections.values():
            connection.terminate()

    async def _connection(self, dsn: str) -> asyncpg.Connection:
        known = self._connections.get(dsn)
        if known is None or known.is_closed():
            async with asyncio.timeout(20):
                known = self._connections[dsn] = await asyncpg.connect(dsn, server_settings=_SETTINGS)
        return known
