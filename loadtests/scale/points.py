"""What was measured at each size or number of workers, and what a request costs by it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadtests.figures import HttpRun, MergeSeries

#: Issue 6: cost of a request at ten million rows by the cost at the smallest.
AIM: Final = 1.3
TARGETS: Final = ("bare", "get", "post")
_NOT_SERVERS: Final = ("generator",)


@dataclass(frozen=True, kw_only=True)
class ScalePoint:
    """`value`: counted rows, or api workers. `merges` of the data only."""

    value: int
    runs: tuple[HttpRun, ...]
    merges: tuple[MergeSeries, ...] = ()

    def rate(self, target: str) -> float:
        return statistics.median(run.requests_per_second for run in self._of(target))

    def p99_ms(self, target: str) -> float:
        return statistics.median(run.p99_ms for run in self._of(target))

    def cpu(self, target: str, *processes: str) -> float:
        """CPU seconds for 1,000 requests; of all servers, unless processes are named by how they begin."""
        return statistics.median(
            sum(
                seconds
                for name, seconds in run.cpu_seconds.items()
                if (name.startswith(processes) if processes else name not in _NOT_SERVERS)
            )
            for run in self._of(target)
        )

    def _of(self, target: str) -> list[HttpRun]:
        return [run for run in self.runs if run.target == target]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """`unit`: what `value` counts. `failure`: why there is no point more, if there should have been one."""

    unit: str
    points: Sequence[ScalePoint]
    machine: dict[str, Any]
    failure: str = ""

    def cost_ratio(self, target: str, point: ScalePoint) -> float:
        """CPU of a request by that of the first point."""
        return point.cpu(target) / self.points[0].cpu(target)

    def as_dict(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "machine": self.machine,
            "failure": self.failure,
            "points": [asdict(point) for point in self.points],
            "cost_ratios": {
                target: [self.cost_ratio(target, point) for point in self.points] for target in TARGETS
            },
        }
