"""What must not grow during a long load: sampled while it runs, and reports that stay open beside it."""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString, Self

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg.rows import dict_row

from loadtests.cores import cpu_seconds
from loadtests.service import Service
from loadtests.sessions import connect

_SQL: Final = Path(__file__).parent / "sql" / "watch.sql"
_MIB: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class Sample:
    """`seconds` since the watch began. `merge_cpu_ms`: of the server process that merges,
    for each merge since the sample before.
    """

    seconds: float
    worker_mib: float
    buffer_mib: float
    catalog_mib: float
    dead_ticks: int
    merges_per_second: float
    merge_cpu_ms: float
    report_open: bool

    def __str__(self) -> str:
        report = "   a report is open" if self.report_open else ""
        return (
            f"{self.seconds:5.0f} s  worker {self.worker_mib:.0f} MiB, buffer {self.buffer_mib:.1f} MiB, "
            f"catalogs {self.catalog_mib:.1f} MiB, {self.merges_per_second:.1f} merges/s of "
            f"{self.merge_cpu_ms:.1f} ms of CPU{report}"
        )


class Watch:
    """Context manager. `sample` as often as wanted; `open_report` and `close_report` in between."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stack = ExitStack()
        self._reports = ExitStack()
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        # Its connections end with it, however far it came.
        with ExitStack() as stack:
            self._primary = stack.enter_context(connect(self._service.primary_dsn))
            self._worker = psutil.Process(self._service.pids()["api"])
            self._stack = stack.pop_all()
        self._started = self._last_at = time.monotonic()
        self._open = False
        self._tick, self._merger_cpu = self._merging(self._look())
        return self

    def __exit__(self, *_: object) -> None:
        self.close_report()
        self._stack.close()

    def sample(self) -> Sample:
        now, seen = time.monotonic(), self._look()
        tick, cpu = self._merging(seen)
        merges = tick - self._tick
        found = Sample(
            seconds=now - self._started,
            worker_mib=self._worker.memory_info().rss / _MIB,
            buffer_mib=seen["buffer_bytes"] / _MIB,
            catalog_mib=seen["catalog_bytes"] / _MIB,
            dead_ticks=seen["dead_ticks"] or 0,
            merges_per_second=merges / (now - self._last_at),
            merge_cpu_ms=1000 * max(0.0, cpu - self._merger_cpu) / merges if merges else 0.0,
            report_open=self._open,
        )
        self._tick, self._merger_cpu, self._last_at = tick, cpu, now
        self.samples.append(found)
        return found

    def open_report(self) -> None:
        """A REPEATABLE READ snapshot on the primary and on the replica, held until it is closed."""
        if self._open:
            return
        self._open = True
        for dsn in (self._service.primary_dsn, self._service.replica_dsn):
            session = self._reports.enter_context(connect(dsn))
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            session.execute("SELECT count(*) FROM campaigns")  # takes the snapshot

    def close_report(self) -> None:
        self._open = False
        # The server may have ended it: a replica doesn't wait for reports for ever.
        with suppress(psycopg.Error):
            self._reports.close()

    def _look(self) -> dict[str, Any]:
        with self._primary.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_statement()).fetchone()
        assert row is not None
        return row

    def _merging(self, seen: dict[str, Any]) -> tuple[int, float]:
        return seen["tick"], cpu_seconds(seen["merger"]) if seen["merger"] else 0.0


#: What is compared: (title, attribute, growth allowed in units, growth allowed as a share).
GROWTH: Final = (
    ("worker memory, MiB", "worker_mib", 8.0, 0.10),
    ("buffer tables, MiB", "buffer_mib", 4.0, 0.50),
    ("catalogs, MiB", "catalog_mib", 2.0, 0.10),
    ("CPU of a merge, ms", "merge_cpu_ms", 3.0, 0.30),
)


def growth(samples: Sequence[Sample]) -> list[tuple[str, float, float, bool]]:
    """(title, median of the second quarter of the time, of the last one, grown beyond noise).

    The first quarter fills caches and memories, which is no leak.
    """
    if len(samples) < 8:
        return []
    quarter = len(samples) // 4
    found = []
    for title, attribute, units, share in GROWTH:
        early = statistics.median(getattr(each, attribute) for each in samples[quarter : 2 * quarter])
        late = statistics.median(getattr(each, attribute) for each in samples[-quarter:])
        found.append((title, early, late, late - early > max(units, share * early)))
    return found


def _statement() -> LiteralString:
    # A file of ours is as good as a literal.
    return _SQL.read_text()
