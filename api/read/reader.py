"""The read batch: a few queries in flight, and whatever is asked meanwhile shares the next one.

From the replica while it is usable, else from the primary. A snapshot is usable if it shows every
event that this process has forgotten as merged: then counts + overlay are exact, whichever server
answered (invariant I3), and an event is forgotten only when the servers in use show it merged (I6)
and every read that began before that was seen has ended.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from api import errors
from api.campaigns.catalog import Catalog
from api.campaigns.history import History
from api.errors import ProblemError, busy
from api.peers.memory import PeerMemory
from api.read.following import FollowedCatalog
from api.read.freshness import Freshness
from api.read.lanes import Lane, Lanes
from api.read.merged import Merged
from api.read.overlay import add_event
from api.read.server import Server
from api.read.snapshot import Snapshot
from buffer.connection import ConnectionFailedError
from buffer.pending import PendingList

log = logging.getLogger("tayang.read")

_ANSWERING_SECONDS: Final = 3.0


class View(NamedTuple):
    """One user's state: the snapshot's counts plus the events above its watermarks.

    All of this process's events, and what others have announced: `pending` in number.
    """

    snapshot: Snapshot
    catalog: Catalog
    history: History
    pending: int


class _Asking(NamedTuple):
    user_id: str
    view: asyncio.Future[View]


@dataclass
class ReaderStats:
    batches: dict[str, int] = field(default_factory=dict)
    users: int = 0
    unusable_snapshots: int = 0


class Reader:
    """`lanes`: for each query that may be in flight, its servers in order of preference, the primary last.

    The primary's connection may be one for all. `run()` is one task.
    """

    def __init__(
        self,
        lanes: Sequence[Sequence[Server]],
        pending: PendingList,
        peers: PeerMemory,
        freshness: Freshness,
        *,
        on_snapshot: Callable[[Snapshot], None],
        max_queue: int,
        max_users: int,
    ) -> None:
        #: Those of the first lane, which whoever reads beside the batches may use, too.
        self.servers = tuple(lanes[0])
        #: All connections, each once.
        self.connections = tuple(dict.fromkeys(server for servers in lanes for server in servers))
        self.latest: Snapshot | None = None
        self.stats = ReaderStats({server.name: 0 for server in self.servers})
        self._lanes: Lanes[_Asking] = Lanes(lanes)
        self._followed = FollowedCatalog()
        self._merged = Merged(pending, peers)
        self._pending = pending
        self._peers = peers
        self._freshness = freshness
        self._on_snapshot = on_snapshot
        self._max_queue = max_queue
        self._max_users = max_users
        self._latest_read = 0
        self._read_at = -_ANSWERING_SECONDS
        #: When the last read was begun, in microseconds since the Unix epoch: the catalog is of then.
        self.read_at_us = 0

    @property
    def catalog(self) -> Catalog:
        return self._followed.catalog

    @property
    def catalog_loads(self) -> int:
        return self._followed.loads

    async def view(self, user_id: str) -> View:
        """The user's state now. Raises ProblemError (503) when no server can tell, or too many ask."""
        return await self.asked(user_id)

    def asked(self, user_id: str) -> asyncio.Future[View]:
        """The same for who can't wait. Raises ProblemError when too many ask; other problems, the future."""
        if len(self._lanes.waiting) >= self._max_queue:
            raise busy(errors.READ_BUSY, "The read queue is full. Try again after the time in Retry-After.")
        asking = _Asking(user_id, asyncio.get_running_loop().create_future())
        self._lanes.add(asking)
        return asking.view

    @property
    def answering(self) -> bool:
        """Whether a read has worked just now. An idle process reads too, several times a second."""
        return asyncio.get_running_loop().time() - self._read_at < _ANSWERING_SECONDS

    def catalog_announced(self, version: int) -> None:
        """The primary has this version of the catalog; a replica may still be behind it."""
        self._followed.announced(version)
        self._lanes.look()

    async def run(self) -> None:
        """Answer batch after batch, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.all:
                group.create_task(self._run(lane))

    async def _run(self, lane: Lane) -> None:
        while True:
            batch = await self._lanes.begin(lane, self._max_users)
            await self._answer(lane, batch)
            lane.read = 0
            if not self._lanes.under_way(self._merged.seen_after):
                self._merged.forget()

    async def _answer(self, lane: Lane, batch: Sequence[_Asking]) -> None:
        try:
            snapshot = await self._snapshot(lane, [user_id for user_id, _ in batch])
        except Exception as error:  # whatever it is, the requests of this batch must end
            if not isinstance(error, ProblemError):
                log.exception("a read batch failed")
                error = ProblemError(errors.INTERNAL, "The popups could not be read.")
            for _, view in batch:
                if not view.done():
                    view.set_exception(error)
            return
        catalog = self.catalog
        for index, (user_id, view) in enumerate(batch):
            if not view.done():
                history = snapshot.history(index)
                pending = self._overlay(history, user_id, snapshot)
                view.set_result(View(snapshot, catalog, history, pending))
        self.stats.users += len(batch)
        in_use = [server for server in self.connections if self.in_use(server)]
        self._merged.see(snapshot, in_use, self.servers[-1], self._lanes.reads)

    def _overlay(self, history: History, user_id: str, snapshot: Snapshot) -> int:
        """Returns how many events it adds."""
        added = 0
        for entry in self._pending.of_user(user_id):
            if entry.seq > snapshot.watermark:
                add_event(history, entry)
                added += 1
        for event in self._peers.unmerged(user_id, snapshot.peer_watermarks, self._pending.knows):
            add_event(history, event)
            added += 1
        return added

    async def _snapshot(self, lane: Lane, users: list[str]) -> Snapshot:
        behind: Snapshot | None = None
        for server in self._in_use(lane.servers):
            asked_at_us, before = time.time_ns() // 1000, self._followed.now
            try:
                snapshot = await server.snapshot(users, self._peers.senders)
                if not self._merged.covered_by(snapshot):
                    self.stats.unusable_snapshots += 1
                    continue
                current = await self._followed.follow(server, snapshot, before)
            except ConnectionFailedError as error:
                log.warning("%s: %s", server.name, error)
                continue
            self.stats.batches[server.name] += 1
            if lane.read >= self._latest_read:  # one that began earlier may end later
                self._latest_read = lane.read
                self.read_at_us = asked_at_us
                self._taken(snapshot)
            if current:
                return snapshot
            behind = behind or snapshot
        if behind is not None:  # the primary is away: an older catalog is better than none
            return behind
        raise busy(errors.UNAVAILABLE, "Neither the replica nor the primary answers. Try again.")

    def _taken(self, snapshot: Snapshot) -> None:
        self.latest = snapshot
        self._read_at = asyncio.get_running_loop().time()
        self._on_snapshot(snapshot)

    def servers_in_use(self) -> Iterator[Server]:
        """In the order of preference. Whether one is in use is asked when its turn comes."""
        return self._in_use(self.servers)

    def _in_use(self, servers: Sequence[Server]) -> Iterator[Server]:
        # A replica that was promoted has the primary's work to do: those that are still replicas go first.
        for server in sorted(servers, key=lambda server: server.is_primary):
            if self.in_use(server):
                yield server

    def in_use(self, server: Server) -> bool:
        return server.usable and not self._freshness.stale(server)
