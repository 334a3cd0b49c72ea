"""The PostgreSQL servers that are attacked: a primary and its replica, for attackers alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from tayang.embedded import EmbeddedCluster

T = TypeVar("T")


class Servers:
    """Calls on the servers, in one thread: they block, and a server ends with the thread that started it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "servers")

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        self._thread.shutdown()


@asynccontextmanager
async def own_cluster(
    directory: Path, *, durable: bool = False
) -> AsyncIterator[tuple[EmbeddedCluster, Servers]]:
    """A primary and its replica in `directory`, for attackers alone. `durable` servers sync to the disk."""
    servers = Servers()
    cluster = EmbeddedCluster(directory / "servers", durable=durable)
    try:
        await servers.run(cluster.start)
        yield cluster, servers
    finally:
        await servers.run(cluster.stop)
        servers.close()
