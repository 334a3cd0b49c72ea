"""Reading as an api process reads, in one that serves no popups and has no events of its own."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from aiohttp import web

from api.background import background
from api.budgets.soft import SoftPoller
from api.config import ApiConfig
from api.peers.memory import PeerMemory
from api.read.freshness import Freshness
from api.read.reader import Reader
from api.read.servers import primary_server, replica_servers
from api.read.snapshot import Snapshot
from buffer.pending import PendingList
from buffer.primary import Primary


@dataclass(frozen=True)
class Watcher:
    reader: Reader
    freshness: Freshness
    soft_budgets: SoftPoller

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for server in self.reader.servers:
                await stack.enter_async_context(background(f"connection to {server.name}", server.run()))
            await stack.enter_async_context(background("freshness", self.freshness.run()))
            await stack.enter_async_context(background("reader", self.reader.run()))
            await stack.enter_async_context(background("soft budgets", self.soft_budgets.run()))
            yield


WATCHER: Final = web.AppKey("watcher", Watcher)


def create_watcher(config: ApiConfig, primary: Primary) -> Watcher:
    """Others' impressions are seen when they are merged: it is no peer, for those are counted as serving."""
    instance = secrets.randbits(62) + 1
    pending = PendingList(instance, max_rows=1, remembered_rows=1)
    replicas, last = replica_servers(config, primary, instance), primary_server(config, primary, instance)
    freshness = Freshness(replicas, last, max_staleness_seconds=config.max_staleness_seconds)
    reader = Reader(
        [*replicas, last],
        pending,
        PeerMemory(max_rows=1, kept_seconds=config.peer_kept_seconds, clock=monotonic),
        freshness,
        on_snapshot=_nothing,
        max_queue=config.read_queue_max_requests,
        max_users=config.read_batch_max_users,
    )
    # It serves nothing, so it expects no confirmations, however many processes do.
    budgets = SoftPoller(reader, pending, processes=lambda: 1, poll_seconds=config.budget_poll_seconds)
    return Watcher(reader, freshness, budgets)


def _nothing(_snapshot: Snapshot) -> None:
    """Nothing here follows the buffer."""
