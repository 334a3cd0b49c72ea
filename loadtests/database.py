"""The databases of the service, by plain SQL: seed, fill the buffer, wait until all is settled."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from loadtests.plan import ROWS_A_USER
from loadtests.service import BenchError, Service
from loadtests.sessions import Sessions, connect

_SQL: Final = Path(__file__).parent / "sql"
_SETTLE_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.05


class Database(Sessions):
    """Context manager."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._dsn = service.primary_dsn

    def session(self) -> psycopg.Connection[Any]:
        """Another one on the primary; the caller closes it."""
        return connect(self._dsn)

    def version(self) -> str:
        return str(self._value("SHOW server_version"))

    def impressions(self) -> int:
        """Rows in the log."""
        return int(self._value("SELECT count(*) FROM impressions"))

    def counted_rows(self) -> int:
        return int(self._value("SELECT count(*) FROM user_campaign_counts"))

    def wal_position(self) -> int:
        """Bytes of WAL ever written, the full page images included."""
        return int(self._value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def checkpoint(self) -> None:
        self._primary.execute("CHECKPOINT")

    def seed(self, first: int, until: int, campaigns: Sequence[int]) -> None:
        """Counts of the users [first, until)."""
        self._primary.execute("SELECT setseed(0.5)")
        parameters = {"first": first, "until": until, "campaigns": list(campaigns), "rows": ROWS_A_USER}
        self._primary.execute(_statement("seed_counts"), parameters)

    def tidy(self) -> None:
        """As after a quiet night: vacuumed, analysed, checkpointed, and the replica has it all."""
        self._primary.execute("VACUUM (ANALYZE) user_campaign_counts, audience_members")
        self.checkpoint()
        self.settle()

    def read_counts(self, users: Sequence[str]) -> None:
        """On both servers: else the first requests wait for the disk, where not all fits into memory."""
        for session in (self._primary, self._replica):
            session.execute(_statement("read_counts"), {"users": list(users)})

    def fill_buffer(self, seed: float, parameters: dict[str, Any]) -> None:
        """`rows` impressions; the same `seed` draws the same users and campaigns."""
        self._primary.execute("SELECT setseed(%s)", (seed,))
        self._primary.execute(_statement("fill_buffer"), {"rows_a_user": ROWS_A_USER, **parameters})

    def settle(self) -> None:
        """Wait until everything buffered is merged and the replica has replayed it."""
        self._wait(lambda: not self._value(_statement("rows_left")), "the buffer is merged")
        position = self._value("SELECT pg_current_wal_insert_lsn()::text")
        behind = "SELECT pg_last_wal_replay_lsn() < %s::pg_lsn"
        self._wait(
            lambda: not self._replica.execute(behind, (position,)).fetchone()[0],  # type: ignore[index]  # one row
            "the replica has caught up",
        )

    def set_status(self, prefix: str, status: str) -> None:
        """Of all campaigns whose key begins so, in one transaction."""
        self._primary.execute(_statement("set_status"), {"prefix": prefix, "status": status})
        self.settle()

    def end_duties(self) -> None:
        self._primary.execute(_statement("end_duties"))

    def _wait(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise BenchError(f"after {_SETTLE_SECONDS:.0f} s still not so: {what}")
            time.sleep(_POLL_SECONDS)

    def _value(self, sql: LiteralString) -> Any:
        row = self._primary.execute(sql).fetchone()
        assert row is not None  # all of them give exactly one row
        return row[0]


def _statement(name: str) -> LiteralString:
    # A file of ours is as good as a literal.
    return (_SQL / f"{name}.sql").read_text()
