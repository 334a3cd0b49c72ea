"""The pending list: each event of this process from its arrival until every reader has seen its merge.

Sequence numbers are contiguous. Three positions cut the list, oldest first:

    forgotten ≤ acknowledged ≤ sent
       │            │           └ given to the COPY in flight
       │            └ committed in the buffer table
       └ merged, and visible to every reader in use: no longer here

After a lost connection `sent` goes back to the primary's watermark, perhaps behind `acknowledged`:
the table has lost what stands between, and gets it again.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from buffer.record import Entry, event_key, make_entry

NOTHING: Final[Sequence[Entry]] = ()


class PendingFullError(Exception):
    """The process holds as many unmerged events as it may; the client should come back later."""


class PendingList:
    """Bounded; not thread-safe (one event loop owns it).

    `max_rows` bounds the list. `remembered_rows` bounds the memory of merged keys by which a late
    resend is recognised without another row.
    """

    def __init__(self, instance: int, *, max_rows: int, remembered_rows: int) -> None:
        self.instance = instance
        self.max_rows = max_rows
        self.forgotten_through = 0
        self.acked_through = 0
        self.sent_through = 0
        self._entries: deque[Entry] = deque()
        self._by_key: dict[bytes, Entry] = {}
        self._by_user: dict[str, list[Entry]] = {}
        self._unsent: deque[Entry] = deque()
        self._merged_keys = RecentKeys(remembered_rows)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last_seq(self) -> int:
        return self.forgotten_through + len(self._entries)

    @property
    def unsent_rows(self) -> int:
        return len(self._unsent)

    def knows(self, key: bytes) -> bool:
        """Whether the event is here, or was until it was merged."""
        return key in self._by_key or key in self._merged_keys

    def room_for(self, keys: Collection[bytes]) -> bool:
        """Whether events with these keys can all be appended. A known one takes no room."""
        room = self.max_rows - len(self._entries)
        if len(keys) <= room:
            return True
        return sum(not self.knows(key) for key in keys) <= room

    def append(
        self,
        *,
        impression_id: bytes,
        kind: int,
        user_id: str,
        campaign_id: int,
        variant: str,
        occurred_at_us: int,
        session: int = 0,
        late: bool = False,
    ) -> int:
        """Queue an event; returns the seq whose acknowledgement makes it durable.

        A resend returns the seq of the first one (0 if that is merged already): it counts once
        here too, so that the overlay is exact. Raises PendingFullError, with nothing queued.
        """
        key = event_key(impression_id, kind)
        known = self._by_key.get(key)
        if known is not None:
            return known.seq
        if key in self._merged_keys:
            return 0
        if len(self._entries) >= self.max_rows:
            raise PendingFullError
        entry = make_entry(
            self.instance,
            self.last_seq + 1,
            impression_id=impression_id,
            kind=kind,
            user_id=user_id,
            campaign_id=campaign_id,
            variant=variant,
            occurred_at_us=occurred_at_us,
            session=session,
            late=late,
        )
        self._entries.append(entry)
        self._unsent.append(entry)
        self._by_key[key] = entry
        mine = self._by_user.get(user_id)
        if mine is None:
            self._by_user[user_id] = [entry]
        else:
            mine.append(entry)
        return entry.seq

    def of_user(self, user_id: str) -> Sequence[Entry]:
        """The user's unmerged events, oldest first. The overlay counts those above a snapshot's watermark."""
        return self._by_user.get(user_id, NOTHING)

    def take_unsent(self, max_rows: int) -> list[bytes]:
        """Rows for the next COPY, oldest first; they count as sent from now on."""
        unsent = self._unsent
        entries = [unsent.popleft() for _ in range(min(max_rows, len(unsent)))]
        if entries:
            self.sent_through = entries[-1].seq
        return [entry.row for entry in entries]

    def acknowledge(self) -> range:
        """All that was sent is committed. Returns the seqs acknowledged for the first time."""
        first = self.acked_through + 1
        self.acked_through = max(self.acked_through, self.sent_through)
        return range(first, self.acked_through + 1)

    def rewind(self, watermark: int) -> int:
        """Send everything above the primary's watermark again. Returns how many rows that had been sent."""
        restart = max(watermark, self.forgotten_through)
        again = max(0, self.sent_through - restart)
        self._unsent = deque(entry for entry in self._entries if entry.seq > restart)
        self.sent_through = restart
        self.acked_through = max(self.acked_through, restart)
        return again

    def forget_through(self, watermark: int) -> None:
        """Drop the entries up to `watermark`: every reader in use shows them merged."""
        entries = self._entries
        while entries and entries[0].seq <= watermark:
            self._forget(entries.popleft())
        while self._unsent and self._unsent[0].seq <= self.forgotten_through:
            self._unsent.popleft()
        self.sent_through = max(self.sent_through, self.forgotten_through)
        self.acked_through = max(self.acked_through, self.forgotten_through)

    def _forget(self, entry: Entry) -> None:
        self.forgotten_through = entry.seq
        del self._by_key[entry.key]
        self._merged_keys.add(entry.key)
        mine = self._by_user[entry.user_id]
        if len(mine) == 1:
            del self._by_user[entry.user_id]
        else:
            del mine[0]


class RecentKeys:
    """The last `max_keys` keys, at least half of them: two sets in turn, so that forgetting is free."""

    def __init__(self, max_keys: int) -> None:
        self._half = max(1, max_keys // 2)
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def __contains__(self, key: bytes) -> bool:
        return key in self._young or key in self._old

    def add(self, key: bytes) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()
        self._young.add(key)
