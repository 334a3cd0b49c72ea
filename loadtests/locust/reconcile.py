"""After a load test, in the primary: is what was acknowledged counted, once, and did every cap hold?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from loadtests.locust.record import ACKNOWLEDGED, ENTRY_BYTES, UNANSWERED

_SQL: Final = Path(__file__).parent / "sql"
_READ_ENTRIES: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Account:
    """Events, unless it says otherwise. `acknowledgements` counts what was sent again each time."""

    acknowledgements: int
    acknowledged: int
    unanswered: int
    logged: int
    counted: int
    missing: int
    unexplained: int
    wrong_counts: int  # users and campaigns
    caps_checked: int  # impressions times caps
    caps_reached: int
    caps_overshot: int


class Books:
    """Open them before the test, and `close` them when all is merged. The session holds what was before."""

    def __init__(self, primary: psycopg.Connection[Any]) -> None:
        self._primary = primary
        primary.execute(_statement("counts_before"))

    def close(self, directory: Path) -> Account:
        """`directory` holds Locust's ledger."""
        with self._primary.cursor(row_factory=dict_row) as cursor:
            for statement in _statement("ledger_tables").split(";"):
                cursor.execute(statement)
            for table, file in (("acknowledged", ACKNOWLEDGED), ("unanswered", UNANSWERED)):
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["uuid", "int2"])
                    for entry in entries(directory / file):
                        copy.write_row(entry)
            cursor.execute("ANALYZE acknowledged, unanswered, logged, counts_before")
            events = cursor.execute(_statement("reconcile")).fetchone()
            caps = cursor.execute(_statement("overshoot")).fetchone()
        assert events is not None
        assert caps is not None
        return Account(**events, **{f"caps_{name}": value for name, value in caps.items()})


def entries(file: Path) -> Iterator[tuple[UUID, int]]:
    """Impression ids and kinds of a ledger's file."""
    with file.open("rb") as ledger:
        while data := ledger.read(ENTRY_BYTES * _READ_ENTRIES):
            for at in range(0, len(data), ENTRY_BYTES):
                yield UUID(bytes=data[at : at + 16]), data[at + 16]


def _statement(name: str) -> LiteralString:
    # A file of ours is as good as a literal.
    return (_SQL / f"{name}.sql").read_text()
