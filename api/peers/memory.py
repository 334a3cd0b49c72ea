"""Other processes' events, from their announcement until a snapshot shows them merged."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from api.peers.message import PeerEvent

_NOTHING: Final[Sequence[PeerEvent]] = ()


class PeerMemory:
    """Bounded in rows and in time; not thread-safe (one event loop owns it).

    What is dropped early is no loss: the merge brings it, as it would without announcements. Time
    bounds what never will be merged: its process and the database died together.
    """

    def __init__(self, *, max_rows: int, kept_seconds: float, clock: Callable[[], float]) -> None:
        self.received = 0
        self._max_rows = max_rows
        self._kept_seconds = kept_seconds
        self._clock = clock
        self._heard_at: dict[int, float] = {}
        self._arrived: deque[tuple[float, PeerEvent]] = deque()
        self._by_user: dict[str, list[PeerEvent]] = {}
        self._merged_through: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._arrived)

    def heard(self, instance: int, events: Iterable[PeerEvent]) -> None:
        """Take a message in."""
        now = self._clock()
        self._heard_at[instance] = now
        for event in events:
            if event.seq > self._merged_through.get(instance, 0):
                self._arrived.append((now, event))
                self._by_user.setdefault(event.user_id, []).append(event)
                self.received += 1
        while len(self._arrived) > self._max_rows:
            self._drop_oldest()

    def present(self, within_seconds: float) -> int:
        """How many other processes were heard lately."""
        since = self._clock() - within_seconds
        return sum(at >= since for at in self._heard_at.values())

    @property
    def senders(self) -> tuple[int, ...]:
        """The instances whose watermarks the next snapshot must tell."""
        return tuple(self._heard_at)

    def unmerged(
        self, user_id: str, watermarks: Mapping[int, int], known_here: Callable[[bytes], bool]
    ) -> Collection[PeerEvent]:
        """The user's events above the watermarks of a snapshot, each key once, without those known here.

        A client may have sent one event to several processes; it counts once.
        """
        mine = self._by_user.get(user_id, _NOTHING)
        if not mine:
            return ()
        fresh = {
            event.key: event
            for event in mine
            if event.seq > watermarks.get(event.instance, 0) and not known_here(event.key)
        }
        return fresh.values()

    def forget(self, watermarks: Mapping[int, int]) -> None:
        """Drop what a snapshot of the server in use shows as merged, and what is too old."""
        self._merged_through.update(watermarks)
        now = self._clock()
        arrived = self._arrived
        while arrived:
            at, oldest = arrived[0]
            merged = oldest.seq <= self._merged_through.get(oldest.instance, 0)
            if not merged and now - at < self._kept_seconds:
                break
            self._drop_oldest()
        for instance, at in list(self._heard_at.items()):
            if now - at >= self._kept_seconds:
                del self._heard_at[instance]
                self._merged_through.pop(instance, None)

    def forget_user(self, user_id: str) -> None:
        """The user is erased: no merge will count what was announced of him."""
        if self._by_user.pop(user_id, None) is not None:
            self._arrived = deque(each for each in self._arrived if each[1].user_id != user_id)

    def _drop_oldest(self) -> None:
        _, oldest = self._arrived.popleft()
        mine = self._by_user[oldest.user_id]
        if len(mine) == 1:
            del self._by_user[oldest.user_id]
        else:
            mine.remove(oldest)
