"""The read batch: one query in flight, and what is asked meanwhile shares the next one, or the next two.

From the replica while it is usable, else from the primary. A snapshot is usable if it shows every
event that this process has forgotten as merged: then counts + overlay are exact, whichever server
answered (invariant I3), and an event is forgotten only when the servers in use show it merged (I6).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from api import errors
from api.background import background
from api.campaigns.catalog import Catalog
from api.campaigns.history import History
from api.errors import ProblemError, busy
from api.peers.memory import PeerMemory
from api.read.freshness import Freshness
from api.read.overlay import add_event
from api.read.server import Server
from api.read.snapshot import Snapshot
from buffer.connection import ConnectionFailedError
from buffer.pending import PendingList

log = logging.getLogger("tayang.read")

#: An idle process asks this often: what is merged is forgotten, and a change of catalog is seen.
_HEARTBEAT_SECONDS: Final = 0.25
_ANSWERING_SECONDS: Final = 3.0
#: So few are read together: reading twice would cost more than one core waits for the other.
_UNDIVIDED: Final = 8


class View(NamedTuple):
    """One user's state: the snapshot's counts plus the events above its watermarks.

    All of this process's events, and what others have announced: `pending` in number.
    """

    snapshot: Snapshot
    catalog: Catalog
    history: History
    pending: int


@dataclass
class ReaderStats:
    batches: dict[str, int] = field(default_factory=dict)
    users: int = 0
    unusable_snapshots: int = 0
    catalog_loads: int = 0


class Reader:
    """`servers` in order of preference. `run()` is one task, with its heartbeat in another."""

    def __init__(
        self,
        servers: Iterable[Server],
        pending: PendingList,
        peers: PeerMemory,
        freshness: Freshness,
        *,
        on_snapshot: Callable[[Snapshot], None],
        max_queue: int,
        max_users: int,
    ) -> None:
        self.servers = tuple(servers)
        self.catalog = Catalog()
        self.latest: Snapshot | None = None
        self.stats = ReaderStats({server.name: 0 for server in self.servers})
        self._pending = pending
        self._peers = peers
        self._freshness = freshness
        self._on_snapshot = on_snapshot
        self._max_queue = max_queue
        self._max_users = max_users
        self._queue: deque[tuple[str, asyncio.Future[View]]] = deque()
        self._wake = asyncio.Event()
        self._read_at = -_ANSWERING_SECONDS
        #: When the last read was begun, in microseconds since the Unix epoch: the catalog is of then.
        self.read_at_us = 0
        self._given_up_through = 0
        self._announced = 0

    async def view(self, user_id: str) -> View:
        """The user's state now. Raises ProblemError (503) when no server can tell, or too many ask."""
        return await self.asked(user_id)

    def asked(self, user_id: str) -> asyncio.Future[View]:
        """The same for who can't wait. Raises ProblemError when too many ask; other problems, the future."""
        if len(self._queue) >= self._max_queue:
            raise busy(errors.READ_BUSY, "The read queue is full. Try again after the time in Retry-After.")
        future: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        self._queue.append((user_id, future))
        self._wake.set()
        return future

    @property
    def answering(self) -> bool:
        """Whether a read has worked just now. An idle process reads too, several times a second."""
        return asyncio.get_running_loop().time() - self._read_at < _ANSWERING_SECONDS

    async def run(self) -> None:
        """Answer batch after batch, until cancelled."""
        last = 0
        async with background("heartbeat of reads", self._beat()):
            while True:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                batch = self._next_batch(last)
                await self._answer(batch)
                last = len(batch)

    async def _beat(self) -> None:
        """Beside the waiting: a timeout around each wait would cost a twentieth of a read of one user."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self._wake.set()

    def _next_batch(self, last: int) -> list[tuple[str, asyncio.Future[View]]]:
        """`last` users' answers are being made while this batch is read (docs/decisions/0040).

        Both take about as long for a user. So the half of all is read, and neither this process nor the
        server waits for the other; a batch of nearly all would stay one, with the other side idle.
        """
        queue = self._queue
        size = max(_UNDIVIDED, (len(queue) + last + 1) // 2)
        return [queue.popleft() for _ in range(min(len(queue), size, self._max_users))]

    async def _answer(self, batch: list[tuple[str, asyncio.Future[View]]]) -> None:
        try:
            snapshot = await self._snapshot([user_id for user_id, _ in batch])
        except Exception as error:  # whatever it is, the requests of this batch must end
            if not isinstance(error, ProblemError):
                log.exception("a read batch failed")
                error = ProblemError(errors.INTERNAL, "The popups could not be read.")
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        catalog = self.catalog
        for index, (user_id, future) in enumerate(batch):
            if not future.done():
                history = snapshot.history(index)
                pending = self._overlay(history, user_id, snapshot)
                future.set_result(View(snapshot, catalog, history, pending))
        self.stats.users += len(batch)
        self._forget(snapshot)

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

    def catalog_announced(self, version: int) -> None:
        """The primary has this version of the catalog; a replica may still be behind it."""
        self._announced = max(self._announced, version)
        self._wake.set()

    async def _snapshot(self, users: list[str]) -> Snapshot:
        behind: Snapshot | None = None
        for server in self.servers_in_use():
            asked_at_us, announced = time.time_ns() // 1000, self._announced
            try:
                snapshot = await server.snapshot(users, self._peers.senders)
                if not self._covers(snapshot):
                    self.stats.unusable_snapshots += 1
                    continue
                current = await self._follow_catalog(server, snapshot, announced)
            except ConnectionFailedError as error:
                log.warning("%s: %s", server.name, error)
                continue
            self.stats.batches[server.name] += 1
            self.read_at_us = asked_at_us
            if current:
                return self._taken(snapshot)
            behind = behind or snapshot
        if behind is not None:  # the primary is away: an older catalog is better than none
            return self._taken(behind)
        raise busy(errors.UNAVAILABLE, "Neither the replica nor the primary answers. Try again.")

    def _taken(self, snapshot: Snapshot) -> Snapshot:
        self.latest = snapshot
        self._read_at = asyncio.get_running_loop().time()
        self._on_snapshot(snapshot)
        return snapshot

    async def _follow_catalog(self, server: Server, snapshot: Snapshot, announced: int) -> bool:
        """Have a catalog not older than the server's, nor, where that is a replica, than what is here.

        So a paused campaign stays paused, whichever replica answers next. `announced` was so when the
        snapshot was asked for; False if that is not reached. A primary that lacks what was here or announced
        has lost it in a failover: it is the truth.
        """
        primary = snapshot.replayed is None
        if primary and snapshot.version < announced == self._announced:
            self._announced = snapshot.version
        older = snapshot.version < self.catalog.version
        if snapshot.version > self.catalog.version or (primary and older):
            self.catalog = await server.catalog(self.catalog, afresh=older)
            self.stats.catalog_loads += 1
        return primary or self.catalog.version >= announced

    def _covers(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot shows as merged all that was forgotten here.

        A primary that does not is the truth all the same: nothing will ever show more.
        """
        forgotten = self._pending.forgotten_through
        if snapshot.watermark >= forgotten or forgotten <= self._given_up_through:
            return True
        if snapshot.replayed is not None:
            return False
        log.critical(
            "the primary shows events up to %d as merged where %d had been seen: a failover has lost merged "
            "events, or the watermark of this process was removed",
            snapshot.watermark,
            forgotten,
        )
        self._given_up_through = forgotten
        return True

    def servers_in_use(self) -> Iterator[Server]:
        """In the order of preference. Whether one is in use is asked when its turn comes."""
        # A replica that was promoted has the primary's work to do: those that are still replicas go first.
        for server in sorted(self.servers, key=lambda server: server.is_primary):
            if self.in_use(server):
                yield server

    def in_use(self, server: Server) -> bool:
        return server.usable and not self._freshness.stale(server)

    def _forget(self, snapshot: Snapshot) -> None:
        """What all replicas in use show as merged is needed no more, whichever of them is promoted.

        The primary, which comes last, counts only where it is the one in use: it is ahead of every replica.
        """
        in_use = [server for server in self.servers if self.in_use(server)]
        if in_use:
            replicas = [server for server in in_use if server is not self.servers[-1]]
            self._pending.forget_through(min(server.watermark for server in replicas or in_use))
            if snapshot.server in {server.name for server in replicas or in_use}:
                self._peers.forget(snapshot.peer_watermarks)
