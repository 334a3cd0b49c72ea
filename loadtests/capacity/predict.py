"""The points that were not used for the fit, as the model sees them and as they were measured."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadtests.capacity.fit import FITTED, FITTED_MERGES
from loadtests.capacity.model import Model, first_touches
from loadtests.capacity.points import Load, Measured, Point
from loadtests.capacity.queues import State, closed, cores_of, paced
from loadtests.capacity.readings import PARTS, PRIMARY_PARTS, REPLICA_PARTS

#: Issue 6: no further from what was measured.
AIM: Final = 0.20
#: As the gates of `loadtests.load`.
_OFFERED: Final = 0.98
#: A figure that is less of the servers' CPU time than this is not compared alone: it is in the sum.
_NOTABLE: Final = 0.10
_SERVERS: Final = tuple(part for part in PARTS if part != "generator")
_CPU: Final = {
    "CPU of api, µs a request": ("api",),
    "CPU of primary, µs a request": PRIMARY_PARTS,
    "CPU of replica, µs a request": REPLICA_PARTS,
    "CPU of all servers, µs a request": _SERVERS,
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    point: str
    figure: str
    measured: float
    predicted: float

    @property
    def deviation(self) -> float:
        """Of the measured value; 0.1: the model says a tenth too much."""
        return self.predicted / self.measured - 1

    @property
    def within(self) -> bool:
        return abs(self.deviation) <= AIM


def compare(model: Model, measured: Measured) -> list[Comparison]:
    """Raises BenchError. Nothing of what the fit looked at is among them."""
    found: list[Comparison] = []
    for load in measured.loads():
        if load not in FITTED and offered(measured, load):
            found += _point(model, measured, load)
    return [*found, *_merges(model, measured)]


def offered(measured: Measured, load: Load) -> bool:
    """Whether the rate was reached that was asked for: else the machine is too slow for such a point."""
    return load.rate is None or measured.rate(load) >= _OFFERED * load.rate


def state(model: Model, measured: Measured, load: Load) -> State:
    """At a rate the latency is the measured one: it is the machine's and its neighbours' doing."""
    if load.rate is None:
        return closed(model, load, cores_of(measured, load))
    return paced(model, load, measured.best(load).p50_ms / 1000)


def _point(model: Model, measured: Measured, load: Load) -> Iterator[Comparison]:
    point = measured.best(load)
    expected = state(model, measured, load)

    def comparison(figure: str, found: float, predicted: float) -> Comparison:
        return Comparison(point=load.name, figure=figure, measured=found, predicted=predicted)

    if load.rate is None:
        yield comparison("requests/s", measured.rate(load), expected.requests_per_second)
    for figure, parts in _CPU.items():
        found = sum(point.used.cpu[part] for part in parts) / point.requests
        each = sum(expected.cpu[part] for part in parts) + _beside(model, point, parts) / point.requests
        if found >= _NOTABLE * point.servers_cpu / point.requests:
            yield comparison(figure, 1e6 * found, 1e6 * each)
    if load.get_share < 1:
        # A checkpoint or a vacuum falls into one round or another: their medians.
        points = measured.of(load)
        yield comparison(
            "WAL bytes an event",
            statistics.median(each.used.wal_bytes / each.used.rows for each in points),
            statistics.median(_wal(model, each) for each in points),
        )
        yield comparison(
            "WAL syncs/s",
            statistics.median(each.used.wal_syncs / each.used.seconds for each in points),
            statistics.median(_syncs(model, each) for each in points),
        )


def _beside(model: Model, point: Point, parts: tuple[str, ...]) -> float:
    """CPU seconds that don't depend on the number of requests: of an idle service, and of each merge."""
    load = point.load
    idle = sum(model.idle[part] * (load.workers if part in ("api", "readers") else 1) for part in parts)
    merges = model.merge.merges_per_second * point.elapsed_seconds if load.get_share < 1 else 0.0
    return idle * point.used.seconds + ("merge" in parts) * model.merge.cpu_a_merge * merges


def _wal(model: Model, point: Point) -> float:
    """Images as there were: how many pages are new since a checkpoint is the merges' comparison."""
    merge = model.merge
    merges = merge.merges_per_second * point.elapsed_seconds
    images = point.used.wal_images * merge.image_bytes
    return merge.wal_bytes_a_row + (merge.wal_bytes_a_merge * merges + images) / point.used.rows


def _syncs(model: Model, point: Point) -> float:
    merges = model.merge.merges_per_second * point.elapsed_seconds
    idle = model.idle_syncs * (point.used.seconds - point.elapsed_seconds)
    return (idle + model.merge.syncs_a_merge * merges) / point.used.seconds


def _merges(model: Model, measured: Measured) -> Iterator[Comparison]:
    merge = model.merge
    for each in measured.merged:
        if each.state in FITTED_MERGES:
            continue
        share = 0.0
        if each.rows_before is not None:
            share = first_touches(each.rows_before, each.rows, measured.merged_pages)
        name = f"merges, {each.state}"
        yield Comparison(
            point=name,
            figure="WAL bytes a row",
            measured=each.wal_bytes / each.rows,
            predicted=model.merge.wal_bytes_alone + share * merge.image_bytes,
        )
        yield Comparison(
            point=name,
            figure="rows/s",
            measured=each.rows / each.seconds,
            predicted=1 / (merge.seconds_a_row + share * merge.seconds_an_image),
        )
