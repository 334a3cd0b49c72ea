"""What is merged: which snapshots show enough of it, and when events may be forgotten (I3, I6)."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from api.peers.memory import PeerMemory
from api.read.server import Server
from api.read.snapshot import Snapshot
from buffer.pending import PendingList

log = logging.getLogger("tayang.read")


class _Shown(NamedTuple):
    """What the servers in use showed as merged when so many reads had begun."""

    reads: int
    watermark: int
    peers: Mapping[int, int]


class Merged:
    """Of this process's events, and of those that others have announced."""

    def __init__(self, pending: PendingList, peers: PeerMemory) -> None:
        self._pending = pending
        self._peers = peers
        self._shown: _Shown | None = None
        self._given_up_through = 0

    def covered_by(self, snapshot: Snapshot) -> bool:
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

    def see(self, snapshot: Snapshot, in_use: Sequence[Server], primary: Server, reads: int) -> None:
        """What all replicas in use show as merged is needed no more, whichever of them is promoted.

        The primary counts only where it is the one in use: it is ahead of every replica. `reads` have begun.
        """
        if not in_use or self._shown is not None:
            return
        replicas = [server for server in in_use if server is not primary] or in_use
        known = snapshot.server in {server.name for server in replicas}
        peers = snapshot.peer_watermarks if known else {}
        self._shown = _Shown(reads, min(server.watermark for server in replicas), peers)

    @property
    def seen_after(self) -> int:
        """How many reads had begun when there was last something to forget; 0 if it is forgotten."""
        return 0 if self._shown is None else self._shown.reads

    def forget(self) -> None:
        """Once no read is under way that had begun by then: it may show less, and needs the events."""
        if self._shown is not None:
            _, watermark, peers = self._shown
            self._shown = None
            self._pending.forget_through(watermark)
            self._peers.forget(peers)
