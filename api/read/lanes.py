"""Who asks, and the lanes that read for them: a few reads in flight, each over connections of its own."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from api.background import signalled
from api.read.server import Server

#: An idle lane reads this often: what is merged is forgotten, and a change of catalog is seen.
_HEARTBEAT_SECONDS: Final = 0.25
#: A query beside another one is worth its cost for so many users.
_WORTH_ANOTHER_USERS: Final = 8

Asking = TypeVar("Asking")


class Lane:
    """One read after another. `servers` in order of preference, the primary last."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = tuple(servers)
        self.wake = asyncio.Event()
        #: The number of the read that is under way, in the order of their beginnings; 0 if there is none.
        self.read = 0


class Lanes(Generic[Asking]):
    """The queue of those who ask, and which lane reads when. No timer: an idle one begins at once."""

    def __init__(self, servers: Sequence[Sequence[Server]]) -> None:
        self.all = [Lane(each) for each in servers]
        self.idle: list[Lane] = []
        self.waiting: deque[Asking] = deque()
        #: How many reads have begun.
        self.reads = 0
        self._look = False

    def add(self, asking: Asking) -> None:
        self.waiting.append(asking)
        if self.idle and self._worth_a_read:
            self.idle[-1].wake.set()

    def look(self) -> None:
        """Read soon, for nobody: there is something new to see."""
        self._look = True
        if self.idle:
            self.idle[-1].wake.set()

    async def begin(self, lane: Lane, most: int) -> list[Asking]:
        """Wait until the lane is to read, for whom it returns: at most so many, and nobody at a heartbeat."""
        await self._called(lane)
        self._look = False
        self.reads += 1
        lane.read = self.reads
        waiting = self.waiting
        return [waiting.popleft() for _ in range(min(len(waiting), most))]

    def under_way(self, begun: int) -> bool:
        """Whether a read is, of the first so many that have begun."""
        return any(0 < lane.read <= begun for lane in self.all)

    @property
    def _worth_a_read(self) -> bool:
        """Alone for whoever asks; beside another read for many: what few ask is cheaper with the next one."""
        busy = len(self.idle) < len(self.all)
        return self._look or len(self.waiting) >= (_WORTH_ANOTHER_USERS if busy else 1)

    async def _called(self, lane: Lane) -> None:
        clock = asyncio.get_running_loop().time
        heartbeat_at = clock() + _HEARTBEAT_SECONDS
        self.idle.append(lane)
        try:
            while not self._worth_a_read and (left := heartbeat_at - clock()) > 0:
                lane.wake.clear()
                await signalled(lane.wake, left)
        finally:
            self.idle.remove(lane)
