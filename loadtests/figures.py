"""What was measured, and what is said about it."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

TITLES: Final = {
    "bare": "bare handler",
    "bare_get": "bare, requests of GET",
    "get": "GET /v1/popups",
    "old_design_get": "GET, old design",
    "redis_get": "GET, Redis",
    "bare_post": "bare, requests of POST",
    "post": "POST /v1/impressions",
    "old_design_post": "POST, old design",
    "redis_post": "POST, Redis",
}
#: Issue 6: at least so many times the requests a second, in the same round.
AIMS: Final = {
    ("get", "old_design_get"): 2.0,
    ("get", "redis_get"): 2.0,
    ("get", "bare"): 0.40,
    ("post", "old_design_post"): 2.5,
    ("post", "redis_post"): 2.5,
    ("post", "bare"): 0.55,
}

#: The bare handler with the same requests: what aiohttp itself takes to read them is left out of the ratio.
SAME_REQUESTS: Final = {"get": "bare_get", "post": "bare_post"}

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
    wal_bytes: float | None  # for each request; None: it writes none


@dataclass(frozen=True, kw_only=True)
class Point:
    """One target with so many connections."""

    target: str
    connections: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class HttpFigures:
    targets: tuple[str, ...]
    runs: tuple[HttpRun, ...]
    points: tuple[Point, ...]
    pinning: str
    popups_a_get: float
    replica_share: float  # of the read batches
    left_out: dict[str, float]  # per GET, by reason
    confirmed: int  # impressions answered with 202; all found in the log
    foreign_share: float  # of the CPU time: other processes of this machine
    stolen_share: float  # of the CPU time: other guests of the host

    def of(self, target: str) -> list[HttpRun]:
        return [run for run in self.runs if run.target == target]

    def ratios(self, target: str, yardstick: str = "bare") -> list[float]:
        """To the yardstick of the same round."""
        return [
            run.requests_per_second / other.requests_per_second
            for run, other in zip(self.of(target), self.of(yardstick), strict=True)
        ]

    @property
    def aims(self) -> list[tuple[str, str]]:
        """Those of which both sides were measured."""
        return [(target, other) for target, other in AIMS if {target, other} <= set(self.targets)]

    @property
    def disturbed(self) -> bool:
        """Others worked here, too, or the machine changed its speed: rates and latencies say little."""
        unsteady = spread([run.requests_per_second for run in self.of("bare")]) > STEADY_SPREAD
        return unsteady or self.foreign_share + self.stolen_share > QUIET_SHARE

    def cpu_ratio(self, target: str, yardstick: str = "bare") -> float:
        """CPU that the yardstick's server needs for a request, by what the target's needs for one."""
        return self._server_cpu(yardstick) / self._server_cpu(target)

    def reached(self, target: str, yardstick: str) -> bool:
        return statistics.median(self.ratios(target, yardstick)) >= AIMS[target, yardstick]

    def _server_cpu(self, target: str) -> float:
        server = "bare" if target.startswith("bare") else "api"
        return statistics.median(run.cpu_seconds[server] for run in self.of(target))


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
