"""Points of load against services of its own, in rounds: a slow minute of the machine hits all points."""

import os
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from loadtests import machine
from loadtests.capacity.offer import Offer
from loadtests.capacity.points import MIXED_GET_SHARE, Load, Measured, Merged, Point
from loadtests.capacity.readings import Reader
from loadtests.cores import pin, unpin
from loadtests.figures import MergeSeries
from loadtests.generator import LoadError
from loadtests.merge_part import EVEN, IN_A_ROW, SAME_USERS, measure_merge
from loadtests.plan import FULL, QUICK, Plan
from loadtests.progress import Progress
from loadtests.seeded import seeded_service
from loadtests.service import Service

_USERS: Final = 20_000
_MERGE_USERS: Final = 100_000
_MERGES: Final = 3
_PACED_CONNECTIONS: Final = 200
_PACED_RATES: Final = (500.0, 1_000.0, 2_000.0)


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured: of each point `seconds` in each of `rounds`, with each number of `workers`."""

    workers: Sequence[int]
    rounds: int
    seconds: float
    quick: bool = False  # it works; its figures mean nothing

    def plan(self) -> Plan:
        if self.quick:
            return replace(QUICK, measure_seconds=self.seconds)
        return replace(
            FULL, users=_USERS, measure_seconds=self.seconds, merge_users=_MERGE_USERS, merges=_MERGES
        )


def loads(workers: int) -> list[Load]:
    """What is measured with so many workers, in its order."""

    def closed(share: float, *connections: int) -> list[Load]:
        return [Load(workers=workers, connections=count, get_share=share) for count in connections]

    if workers > 1:
        return [*closed(1.0, 64), *closed(0.0, 64), *closed(MIXED_GET_SHARE, 64)]
    return [
        *closed(0.0, 0),
        *closed(1.0, 1, 4, 16, 64),
        *closed(0.0, 1, 4, 16, 64),
        *closed(MIXED_GET_SHARE, 4, 16, 64),
        *(
            Load(workers=1, connections=_PACED_CONNECTIONS, get_share=MIXED_GET_SHARE, rate=rate)
            for rate in _PACED_RATES
        ),
    ]


def measure(extent: Extent, progress: Progress) -> Measured:
    """Raises BenchError, LoadError."""
    load_before = os.getloadavg()
    found = [_measure(extent, count, progress) for count in extent.workers]
    first = found[0]
    return Measured(
        machine=machine.describe(first.version, load_before, "loadtests.capacity"),
        cores=os.cpu_count() or 1,
        pinned=first.pinned,
        points=[point for each in found for point in each.points],
        merged=first.merged,
        merged_pages=first.merged_pages,
        sizes={str(count): each.sizes for count, each in zip(extent.workers, found, strict=True)},
    )


@dataclass(kw_only=True)
class _Found:
    version: str
    pinned: bool
    points: list[Point]
    sizes: dict[str, float]
    merged: list[Merged]
    merged_pages: float


def _measure(extent: Extent, workers: int, progress: Progress) -> _Found:
    plan = extent.plan()
    with ExitStack() as stack:
        service, database, campaigns = seeded_service(stack, plan, workers, progress)
        reader = stack.enter_context(Reader(service))
        offer = Offer(plan, service, database, reader, progress)
        pinned = workers == 1 and _pin(service, stack)
        points = [
            point
            for number in range(1, extent.rounds + 1)
            for load in loads(workers)
            if (point := _point(offer, load, number, progress)) is not None
        ]
        found = _Found(
            version=database.version(), pinned=pinned, points=points, sizes=reader.sizes(), merged=[],
            merged_pages=0.0,
        )  # fmt: skip
        if workers == 1:
            merged = measure_merge(
                plan, service, database, campaigns, progress, seeded_users=plan.users, skews=EVEN
            )
            found.merged = [_merged(series, plan) for series in merged.series]
            found.merged_pages = reader.sizes()["count_pages"]
        return found


def _point(offer: Offer, load: Load, number: int, progress: Progress) -> Point | None:
    """None: the rate was too much for this machine, which sheds load. Without a rate that is an error."""
    try:
        return offer.point(load, number)
    except LoadError as error:
        if load.rate is None:
            raise
        progress.say(f"round {number}  {load.name} is left out: {error}")
        offer.settle()
        return None


def _pin(service: Service, stack: ExitStack) -> bool:
    split = pin(service.workers())
    stack.callback(unpin, split.tested | split.others)
    return bool(split.tested)


def _merged(series: MergeSeries, plan: Plan) -> Merged:
    # Before those in a row came a checkpoint and one merge, the last one of the others.
    before: dict[str, Any] = {IN_A_ROW: plan.merge_rows, SAME_USERS: None}
    return Merged(
        state=series.state,
        rows_before=before.get(series.state, 0),
        merges=len(series.runs),
        rows=sum(run.rows for run in series.runs),
        seconds=len(series.runs) * statistics.median(run.seconds for run in series.runs),
        wal_bytes=sum(run.wal_bytes for run in series.runs),
    )
