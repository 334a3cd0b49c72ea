"""What was measured, and what is said about it."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

TARGETS: Final = ("bare", "bare_long", "get", "post")
TITLES: Final = {
    "bare": "bare handler",
    "bare_long": "bare, requests of GET",
    "get": "GET /v1/popups",
    "post": "POST /v1/impressions",
}
#: Issue 2: at least this share of the bare handler's requests a second, in the same round.
AIMS: Final = {"get": 0.40, "post": 0.55}

#: A machine is quiet while others use less than this share of its CPU time.
QUIET_SHARE: Final = 0.03
#: ... and the bare handler's rate varies by less than this.
STEADY_SPREAD: Final = 0.10


@dataclass(frozen=True, kw_only=True)
class HttpRun:
    """One target in one round. CPU in seconds per 1,000 requests, by process; busy shares from 0 to 1."""

    target: str
    round: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    server_busy: float
    others_busy: float  # of the cores for all else; 0 when not pinned
    cpu_seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HttpFigures:
    runs: tuple[HttpRun, ...]
    pinning: str
    popups_a_get: float
    replica_share: float  # of the read batches
    left_out: dict[str, float]  # per GET, by reason
    confirmed: int  # impressions answered with 202; all found in the log
    foreign_share: float  # of the CPU time: other processes of this machine
    stolen_share: float  # of the CPU time: other guests of the host

    def of(self, target: str) -> list[HttpRun]:
        return [run for run in self.runs if run.target == target]

    def ratios(self, target: str) -> list[float]:
        """To the bare handler of the same round."""
        return [
            run.requests_per_second / bare.requests_per_second
            for run, bare in zip(self.of(target), self.of("bare"), strict=True)
        ]

    @property
    def disturbed(self) -> bool:
        """Others worked here, too, or the machine changed its speed: rates and latencies say little."""
        unsteady = spread([run.requests_per_second for run in self.of("bare")]) > STEADY_SPREAD
        return unsteady or self.foreign_share + self.stolen_share > QUIET_SHARE

    def cpu_ratio(self, target: str) -> float:
        """CPU that the bare handler needs for a request, by what the api process needs for one."""
        bare = statistics.median(run.cpu_seconds["bare"] for run in self.of("bare"))
        server = "bare" if target.startswith("bare") else "api"
        return bare / statistics.median(run.cpu_seconds[server] for run in self.of(target))

    def reached(self, target: str) -> bool:
        return statistics.median(self.ratios(target)) >= AIMS[target]


@dataclass(frozen=True, kw_only=True)
class MergeRun:
    rows: int
    users: int
    seconds: float
    wal_bytes: int


@dataclass(frozen=True, kw_only=True)
class MergeSeries:
    """`users` evenly drawn or like Zipf's law; `state` of the pages that the merge writes."""

    users: str
    state: str
    runs: tuple[MergeRun, ...]

    def rows_per_second(self) -> list[float]:
        return [run.rows / run.seconds for run in self.runs]

    def wal_bytes_per_row(self) -> list[float]:
        return [run.wal_bytes / run.rows for run in self.runs]

    def users_per_merge(self) -> float:
        return statistics.median(run.users for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class MergeFigures:
    counted_rows: int
    series: tuple[MergeSeries, ...]


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def spread(values: Sequence[float]) -> float:
    """(largest - smallest) / median."""
    return (max(values) - min(values)) / statistics.median(values)
