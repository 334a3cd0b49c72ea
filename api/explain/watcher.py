"""Reading as an api process reads, in one that serves no popups and has no events of its own."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from aiohttp import web

from api.background import background
from api.budgets.soft import SoftPoller
from api.config import ApiConfig
from api.peers.memory import PeerMemory
from api.read.freshness import Freshness
from api.read.parts import reader_parts, running
from api.read.reader import Reader
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
        async with (
            running(self.reader, self.freshness),
            background("soft budgets", self.soft_budgets.run()),
        ):
            yield


WATCHER: Final = web.AppKey("watcher", Watcher)


def create_watcher(config: ApiConfig, primary: Primary) -> Watcher:
    """Others' impressions are seen when they are merged: it is no peer, for those are counted as serving."""
    instance = secrets.randbits(62) + 1
    pending = PendingList(instance, max_rows=1, remembered_rows=1)
    nobody = PeerMemory(max_rows=1, kept_seconds=config.peer_kept_seconds, clock=monotonic)
    reader, freshness = reader_parts(config, primary, pending, nobody, on_snapshot=_nothing)
    # It serves nothing, so it expects no confirmations, however many processes do.
    budgets = SoftPoller(reader, pending, processes=lambda: 1, poll_seconds=config.budget_poll_seconds)
    return Watcher(reader, freshness, budgets)


def _nothing(_snapshot: Snapshot) -> None:
    """Nothing here follows the buffer."""
