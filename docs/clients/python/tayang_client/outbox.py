"""What was shown and done and is not acknowledged yet: in SQLite, so that it outlives the app."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["impression", "click", "dismiss", "convert"]

_TABLE = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    token TEXT NOT NULL,
    kind TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    UNIQUE (token, kind)
)
"""


@dataclass(frozen=True, slots=True)
class Event:
    """`token` is the popup's, and the same however often the event is sent."""

    id: int
    user_id: str
    token: str
    kind: Kind
    occurred_at: str

    def document(self) -> dict[str, str]:
        told = {"token": self.token, "occurred_at": self.occurred_at}
        return told if self.kind == "impression" else {**told, "kind": self.kind}


class Outbox:
    """At most `max_events`; a new one takes the oldest one's place. It is on disk when `add` returns."""

    def __init__(self, file: Path, *, max_events: int = 10_000) -> None:
        self._max_events = max_events
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.execute("PRAGMA synchronous = FULL")  # a battery may be pulled out
        self._database.execute(_TABLE)

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM events").fetchone()[0])

    def add(self, user_id: str, token: str, kind: Kind, occurred_at: str) -> Event | None:
        """Once for each popup and kind; returns the event that had to go for it."""
        if self._has(token, kind):
            return None
        dropped = self._oldest() if len(self) >= self._max_events else None
        self._database.execute("BEGIN")
        if dropped is not None:
            self._database.execute("DELETE FROM events WHERE id = ?", (dropped.id,))
        self._database.execute(
            "INSERT INTO events (user_id, token, kind, occurred_at) VALUES (?, ?, ?, ?)",
            (user_id, token, kind, occurred_at),
        )
        self._database.execute("COMMIT")
        return dropped

    def first(self, user_id: str, limit: int) -> list[Event]:
        """The oldest of this user's, for one endpoint: impressions first, since caps count them."""
        rows = self._database.execute(
            "SELECT * FROM events WHERE user_id = ? ORDER BY kind <> 'impression', id LIMIT ?",
            (user_id, limit),
        )
        events = [Event(*row) for row in rows]
        same = [event for event in events if event.kind == "impression"]
        return same or events

    def remove(self, events: Sequence[Event]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany("DELETE FROM events WHERE id = ?", [(event.id,) for event in events])
        self._database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()

    def _has(self, token: str, kind: Kind) -> bool:
        found = self._database.execute("SELECT 1 FROM events WHERE token = ? AND kind = ?", (token, kind))
        return found.fetchone() is not None

    def _oldest(self) -> Event:
        return Event(*self._database.execute("SELECT * FROM events ORDER BY id LIMIT 1").fetchone())
