"""What is measured: points of load, and what the service's parts used at each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from loadtests.capacity.readings import Reading
from loadtests.service import BenchError

#: Requests of the mixed load: so many of 100 ask for popups, the others confirm one.
MIXED_GET_SHARE: Final = 0.55


@dataclass(frozen=True, kw_only=True)
class Load:
    """`rate` in requests a second, sent when due; None: each connection sends when it has its answer.

    No connections: nothing is asked.
    """

    workers: int
    connections: int
    get_share: float
    rate: float | None = None

    @property
    def name(self) -> str:
        if not self.connections:
            return f"idle, {_workers(self.workers)}"
        kind = {0.0: "POST", 1.0: "GET"}.get(self.get_share, "mixed")
        how = f"{self.connections} connections" if self.rate is None else f"{self.rate:,.0f}/s"
        return f"{kind}, {how}, {_workers(self.workers)}"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One load, measured once. Latencies in ms, none of an idle service; `used` from its start until all
    of it was merged and replayed, and what goes on without any load is in it.
    """

    load: Load
    round: int
    requests: int
    elapsed_seconds: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    busy: Mapping[str, float]  # CPU seconds by part, while the load lasted
    used: Reading

    @property
    def servers_cpu(self) -> float:
        """Seconds of all but the generator."""
        return sum(seconds for part, seconds in self.used.cpu.items() if part != "generator")


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Merges of other users each, or of the same ones again. `rows_before`: of other users, merged since the
    last checkpoint; None: its pages are all in the WAL already.
    """

    state: str
    rows_before: int | None
    merges: int
    rows: int
    seconds: float
    wal_bytes: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`cores`: of the machine; `pinned`: the one api worker had a core for itself. `sizes`: of
    `Reader.sizes`, by the number of workers.
    """

    machine: Mapping[str, Any]
    cores: int
    pinned: bool
    points: Sequence[Point]
    merged: Sequence[Merged]
    merged_pages: float  # of the counts that the merges wrote into
    sizes: Mapping[str, Mapping[str, float]]

    def write(self, file: Path) -> None:
        """A point a line, so that two measurements can be compared."""
        held = asdict(self)
        points = ",\n".join(json.dumps(point) for point in held.pop("points"))
        file.write_text(f'{json.dumps(held)[:-1]},\n"points": [\n{points}\n]}}\n')

    @classmethod
    def read(cls, file: Path) -> "Measured":
        """Raises BenchError if it is not such a file."""
        try:
            held = json.loads(file.read_text())
            points = [_point(each) for each in held["points"]]
            merged = [Merged(**each) for each in held["merged"]]
            return cls(**{**held, "points": points, "merged": merged})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(
                f"{file} holds no measurement of 'loadtests.capacity measure': {error}"
            ) from error

    def of(self, load: Load) -> list[Point]:
        """One of each round. Raises BenchError if there is none."""
        found = [point for point in self.points if point.load == load]
        if not found:
            raise BenchError(f"not measured: {load.name}")
        return found

    def best(self, load: Load) -> Point:
        """Its least disturbed round, each part's CPU time of a request as in that part's least disturbed one:
        whatever disturbs only adds. At a rate the round of the shortest latency. Raises BenchError.
        """
        points = self.of(load)
        if load.rate is not None:  # whoever waits is in larger batches, which take less CPU time
            return min(points, key=lambda point: point.p50_ms)
        best = min(points, key=lambda point: point.servers_cpu / max(1, point.requests))
        cpu = {
            part: best.requests * min(point.used.cpu[part] / max(1, point.requests) for point in points)
            for part in best.used.cpu
        }
        return replace(best, used=replace(best.used, cpu=cpu))

    def rate(self, load: Load) -> float:
        """Requests a second in its best round. Raises BenchError."""
        return max(point.requests_per_second for point in self.of(load))

    def loads(self) -> list[Load]:
        return list(dict.fromkeys(point.load for point in self.points))


def _point(held: dict[str, Any]) -> Point:
    return Point(**{**held, "load": Load(**held["load"]), "used": Reading(**held["used"])})


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
