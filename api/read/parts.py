"""The parts that read, made from the settings: for an api process, and for the backoffice's explanations."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from api.background import background
from api.config import ApiConfig
from api.peers.memory import PeerMemory
from api.read.freshness import Freshness
from api.read.reader import Reader
from api.read.servers import primary_server, replica_servers
from api.read.snapshot import Snapshot
from buffer.pending import PendingList
from buffer.primary import Primary


def reader_parts(
    config: ApiConfig,
    primary: Primary,
    pending: PendingList,
    peers: PeerMemory,
    *,
    on_snapshot: Callable[[Snapshot], None],
) -> tuple[Reader, Freshness]:
    """Reading as the instance of `pending`. Raises ValueError for a DSN that makes no sense."""
    replicas = replica_servers(config, primary, pending.instance)
    last = primary_server(config, primary, pending.instance)
    freshness = Freshness(replicas, last, max_staleness_seconds=config.max_staleness_seconds)
    reader = Reader(
        [*replicas, last],
        pending,
        peers,
        freshness,
        on_snapshot=on_snapshot,
        max_queue=config.read_queue_max_requests,
        max_users=config.read_batch_max_users,
    )
    return reader, freshness


@asynccontextmanager
async def running(reader: Reader, freshness: Freshness) -> AsyncIterator[None]:
    """Its connections, and what keeps it going."""
    async with AsyncExitStack() as stack:
        for server in reader.servers:
            await stack.enter_async_context(background(f"connection to {server.name}", server.run()))
        await stack.enter_async_context(background("freshness", freshness.run()))
        await stack.enter_async_context(background("reader", reader.run()))
        yield
