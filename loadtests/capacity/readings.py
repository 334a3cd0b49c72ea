"""What the processes of a service have used and done so far: CPU by part, requests, batches, WAL."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg.rows import dict_row

from loadtests.cores import cpu_seconds
from loadtests.service import Service
from loadtests.sessions import Sessions

#: What CPU time is told apart by. `merge` and `replay` are one process each, so one core bounds them.
PARTS: Final = (
    "api",
    "copy",
    "merge",
    "primary_rest",
    "readers",
    "replay",
    "replica_rest",
    "maintenance",
    "generator",
)
#: Of the primary, and of a replica.
PRIMARY_PARTS: Final = ("copy", "merge", "primary_rest")
REPLICA_PARTS: Final = ("readers", "replay", "replica_rest")
#: Workers write their metrics, and backends their statistics, about once a second.
REPORTED_SECONDS: Final = 1.2

_SQL: Final = Path(__file__).parent / "sql"
_WAL_IN_IO: Final = 180000


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Totals at one moment, or what there was between two. `page_writes` is None before PostgreSQL 18."""

    seconds: float
    cpu: Mapping[str, float]
    users_read: float
    read_batches: float
    rows: float
    copies: float
    merges: float
    wal_bytes: float
    wal_syncs: float
    wal_writes: float
    wal_images: float
    network_bytes: float
    page_writes: float | None

    def __sub__(self, earlier: "Reading") -> "Reading":
        return Reading(
            cpu={part: self.cpu[part] - earlier.cpu[part] for part in PARTS},
            page_writes=None
            if self.page_writes is None or earlier.page_writes is None
            else self.page_writes - earlier.page_writes,
            **{name: getattr(self, name) - getattr(earlier, name) for name in _NUMBERS},
        )


_NUMBERS: Final = (
    "seconds",
    "users_read",
    "read_batches",
    "rows",
    "copies",
    "merges",
    "wal_bytes",
    "wal_syncs",
    "wal_writes",
    "wal_images",
    "network_bytes",
)


class Reader(Sessions):
    """Context manager."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._service = service
        self._pids = service.pids()
        self._workers = service.workers()

    def read(self) -> Reading:
        """Now. Counts of the last `REPORTED_SECONDS` may be missing: wait that long after a load."""
        metrics = self._service.metrics()
        writes = "writes_18" if self._primary.info.server_version >= _WAL_IN_IO else "writes_15"
        return Reading(
            seconds=time.monotonic(),
            cpu=self._cpu(),
            users_read=_sum(metrics, "tayang_read_users_total"),
            read_batches=_sum(metrics, "tayang_read_batches_total"),
            rows=_sum(metrics, "tayang_flush_rows_total"),
            copies=_sum(metrics, "tayang_flush_copies_total"),
            merges=_row(self._primary, "ticks")["tick"],
            wal_bytes=_row(self._primary, "wal")["bytes"],
            network_bytes=_loopback_bytes(),
            **_row(self._primary, writes),
        )

    def sizes(self) -> dict[str, float]:
        """sql/sizes.sql, and the connections to the replica."""
        replica = _row(self._replica, "sizes")
        return {**_row(self._primary, "sizes"), "replica_connections": replica["connections"]}

    def _cpu(self) -> dict[str, float]:
        primary, replica = _by_part(self._primary), _by_part(self._replica)
        cpu = dict.fromkeys(PARTS, 0.0) | primary | replica
        cpu["primary_rest"] = cpu_seconds(self._pids["primary"]) - sum(primary.values())
        cpu["replica_rest"] = cpu_seconds(self._pids["replica"]) - sum(replica.values())
        cpu["api"] = sum(cpu_seconds(pid) for pid in self._workers)
        cpu["maintenance"] = cpu_seconds(self._pids["maintenance"])
        cpu["generator"] = cpu_seconds(os.getpid())
        return cpu


def _by_part(session: psycopg.Connection[Any]) -> dict[str, float]:
    cpu: dict[str, float] = {}
    with session.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(_statement("processes")).fetchall():
            cpu[row["part"]] = cpu.get(row["part"], 0.0) + cpu_seconds(row["pid"])
    return cpu


def _loopback_bytes() -> float:
    """All hops together, those of clients among them: everything here talks over it."""
    counters = psutil.net_io_counters(pernic=True)
    return float(sum(each.bytes_sent for name, each in counters.items() if name.startswith("lo")))


def _sum(metrics: Mapping[str, float], name: str) -> float:
    """Of all workers and labels."""
    return sum(value for sample, value in metrics.items() if sample.partition("{")[0] == name)


def _row(session: psycopg.Connection[Any], name: str) -> dict[str, Any]:
    with session.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_statement(name)).fetchone()
    assert row is not None  # each of them gives exactly one row
    return {column: None if value is None else float(value) for column, value in row.items()}


def _statement(name: str) -> LiteralString:
    # A file of ours is as good as a literal.
    return (_SQL / f"{name}.sql").read_text()
