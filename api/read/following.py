"""The catalog in memory: never staler than what the servers have shown, or the primary has announced."""

import asyncio
from typing import NamedTuple

from api.campaigns.catalog import Catalog
from api.read.server import Server
from api.read.snapshot import Snapshot


class Before(NamedTuple):
    """How things stood when a snapshot was asked for."""

    announced: int
    loads: int


class FollowedCatalog:
    """Of one process. `loads` counts how often it, or what has changed, was read."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.loads = 0
        self._announced = 0
        # Loaded by two at once, campaigns would have two budgets and tallies.
        self._turn = asyncio.Lock()

    def announced(self, version: int) -> None:
        """The primary has this version; a replica may still be behind it."""
        self._announced = max(self._announced, version)

    @property
    def now(self) -> Before:
        return Before(self._announced, self.loads)

    async def follow(self, server: Server, snapshot: Snapshot, before: Before) -> bool:
        """Have a catalog not older than the server's, nor, where that is a replica, than what is here.

        So a paused campaign stays paused, whichever replica answers next. `before`: as the snapshot was asked
        for. False if what was announced by then is not reached. A primary that lacks what was here or
        announced has lost it in a failover: it is the truth. Raises ConnectionFailedError.
        """
        primary = snapshot.replayed is None
        if primary and snapshot.version < before.announced == self._announced:
            self._announced = snapshot.version
        if snapshot.version != self.catalog.version:
            async with self._turn:
                # What was loaded since is newer than the snapshot, and not lost.
                older = snapshot.version < self.catalog.version and before.loads == self.loads
                if snapshot.version > self.catalog.version or (primary and older):
                    self.catalog = await server.catalog(self.catalog, afresh=older)
                    self.loads += 1
        return primary or self.catalog.version >= before.announced
