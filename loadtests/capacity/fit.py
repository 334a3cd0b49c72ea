"""The model's parameters, from some of the points only: whatever is predicted was not looked at here."""

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from loadtests.capacity.model import Cost, Kind, Merge, Model, Storage, first_touches
from loadtests.capacity.points import MIXED_GET_SHARE, Load, Measured, Merged, Point
from loadtests.capacity.readings import PARTS
from loadtests.service import BenchError

IDLE: Final = Load(workers=1, connections=0, get_share=0.0)
#: No batches, small ones and large ones.
GETS: Final = tuple(Load(workers=1, connections=count, get_share=1.0) for count in (1, 4, 64))
POSTS: Final = tuple(Load(workers=1, connections=count, get_share=0.0) for count in (1, 4, 64))
#: Two workers share the cores with everything else.
SHARED: Final = Load(workers=2, connections=64, get_share=1.0)
#: ... and hear of each other's events.
HEARD: Final = Load(workers=2, connections=64, get_share=0.0)
#: GETs of rows that are being changed.
AMID: Final = Load(workers=1, connections=4, get_share=MIXED_GET_SHARE)
#: All that is looked at, and of the merges the first after a checkpoint and the same again.
FITTED: Final = (IDLE, *GETS, *POSTS, AMID, SHARED, HEARD)
FITTED_MERGES: Final = ("first after a checkpoint", "the same users again")

#: Parts that a batch of GETs costs something, and one of events; the others cost by the row, or nothing.
_BATCHED: Final = {"get": ("api", "readers", "generator"), "post": ("api", "copy", "generator")}
_BY_ROW: Final = ("primary_rest", "replay", "replica_rest")
_HEARING: Final = ("api", "primary_rest")
#: The merge and what follows it happen after the answer.
_WAITED_FOR: Final = ("api", "readers", "copy", "generator")


def fit(measured: Measured) -> Model:
    """Raises BenchError if a point is missing."""
    idle = _Idle(measured)
    get = _kind(idle, "get", measured, GETS)
    model = Model(
        get=get,
        post=_kind(idle, "post", measured, POSTS),
        idle=idle.cpu,
        shared=1.0,
        heard={},
        amid={},
        idle_syncs=idle.syncs,
        merge=_merge(measured, idle),
        storage=_storage(measured),
    )
    model = replace(model, shared=_shared(model, idle, measured.best(SHARED)))
    model = replace(model, heard=_heard(model, idle, measured.best(HEARD)))
    return replace(model, amid=_amid(model, idle, measured.best(AMID)))


class _Idle:
    """What goes on without any requests, a second; of one worker."""

    def __init__(self, measured: Measured) -> None:
        points = measured.of(IDLE)
        seconds = sum(point.used.seconds for point in points)
        self.cpu = {part: sum(point.used.cpu[part] for point in points) / seconds for part in PARTS}
        self.batches = sum(point.used.read_batches for point in points) / seconds
        self.merges = sum(point.used.merges for point in points) / seconds
        self.syncs = sum(point.used.wal_syncs for point in points) / seconds
        self.pinned, self.cores = measured.pinned, measured.cores

    def request(self, part: str, point: Point) -> float:
        """CPU seconds of a part for a request, beyond what goes on without any."""
        workers = point.load.workers if part in ("api", "readers") else 1
        return (point.used.cpu[part] - workers * self.cpu[part] * point.used.seconds) / point.requests

    def loaded_reads(self, point: Point) -> float:
        """Batches with somebody in them: each worker reads now and then though nobody asks."""
        return point.used.read_batches - point.load.workers * self.batches * point.used.seconds

    def loaded_merges(self, point: Point) -> float:
        """Those that found rows: an idle service merges as well, but seldom."""
        return point.used.merges - self.merges * (point.used.seconds - point.elapsed_seconds)

    def loaded_syncs(self, point: Point) -> float:
        return point.used.wal_syncs - self.syncs * (point.used.seconds - point.elapsed_seconds)

    def busiest(self, point: Point) -> float:
        """How busy the busiest core was, 0 to 1."""
        others = sum(point.busy[part] for part in PARTS if part != "api")
        if not self.pinned:
            return min(1.0, (point.busy["api"] + others) / point.elapsed_seconds / self.cores)
        return min(1.0, max(point.busy["api"], others / (self.cores - 1)) / point.elapsed_seconds)


def _kind(idle: _Idle, name: str, measured: Measured, loads: Sequence[Load]) -> Kind:
    """`loads`: of one connection, of few, and of many."""
    points = [measured.best(load) for load in loads]
    busy_max = max(idle.busiest(point) for point in measured.of(loads[-1]))

    batches = idle.loaded_reads if name == "get" else _copies
    cpu = {part: _cost(idle, part, points, batches) for part in _BATCHED[name]}
    if name == "post":
        cpu |= {part: Cost(each=max(0.0, idle.request(part, points[-1])), batch=0.0) for part in _BY_ROW}
        cpu["merge"] = Cost(each=_merging(measured, idle)[0], batch=0.0)
    many = points[-1]
    kind = Kind(
        cpu=cpu,
        # The inverse of Kind.batch_size.
        share_in_batch=math.sqrt(max(0.0, (many.requests / batches(many)) ** 2 - 1)) / many.load.connections,
        delay_seconds=0.0,
        busy_max=busy_max,
    )
    return replace(kind, delay_seconds=_delay(kind, measured.rate(loads[0])))


def _merging(measured: Measured, idle: _Idle) -> tuple[float, float]:
    """CPU seconds of a row, and of a merge that finds rows: that it shares."""
    points = [measured.best(load) for load in POSTS]
    merges = [idle.loaded_merges(point) for point in points]
    return _line(
        [point.used.rows / count for point, count in zip(points, merges, strict=True)],
        [idle.request("merge", point) * point.requests / count
         for point, count in zip(points, merges, strict=True)],
    )[::-1]  # fmt: skip


def _delay(kind: Kind, rate: float) -> float:
    """What a request waits beyond CPU time: `rate` is that of one connection."""
    return max(
        0.0, 1 / rate - sum(cost.of_one(1.0) for part, cost in kind.cpu.items() if part in _WAITED_FOR)
    )


def _shared(model: Model, idle: _Idle, point: Point) -> float:
    alone = model.cpu_of("api", 1.0, point.requests / idle.loaded_reads(point), 1.0)
    return max(1.0, idle.request("api", point) / alone) if alone else 1.0


def _heard(model: Model, idle: _Idle, point: Point) -> dict[str, float]:
    """Whatever an event costs more than with one worker on shared cores is put down to hearing of it."""
    batch = point.used.rows / point.used.copies

    def more(part: str) -> float:
        slower = model.shared if part == "api" else 1.0
        heard = idle.request(part, point) / slower - model.cpu_of(part, 0.0, 1.0, batch)
        return max(0.0, heard) / (point.load.workers - 1)

    return {part: more(part) for part in _HEARING}


def _amid(model: Model, idle: _Idle, point: Point) -> dict[str, float]:
    share = point.load.get_share
    batch = share * point.requests / idle.loaded_reads(point)
    alone = model.get.cpu["readers"].of_one(batch)
    return {"readers": max(0.0, idle.request("readers", point) / share - alone)}


def _merge(measured: Measured, idle: _Idle) -> Merge:
    points = [measured.best(load) for load in POSTS]
    first, again = (_merged(measured, state) for state in FITTED_MERGES)
    share = first_touches(first.rows_before or 0, first.rows / first.merges, measured.merged_pages)
    image_seconds = (first.seconds / first.rows - again.seconds / again.rows) / share
    image_bytes = max(0.0, (first.wal_bytes / first.rows - again.wal_bytes / again.rows) / share)
    each, a_merge = _line(
        [idle.loaded_merges(point) / point.used.rows for point in points],
        [_wal_a_row(point, image_bytes) for point in points],
    )
    all_posts = [point for load in POSTS for point in measured.of(load)]
    return Merge(
        seconds_a_row=again.seconds / again.rows,
        seconds_an_image=max(0.0, image_seconds),
        wal_bytes_alone=again.wal_bytes / again.rows,
        wal_bytes_a_row=each,
        wal_bytes_a_merge=a_merge,
        image_bytes=image_bytes,
        cpu_a_merge=_merging(measured, idle)[1],
        syncs_a_merge=statistics.median(
            idle.loaded_syncs(each) / idle.loaded_merges(each) for each in all_posts
        ),
        merges_per_second=statistics.median(
            idle.loaded_merges(each) / each.elapsed_seconds for each in all_posts
        ),
    )


def _cost(idle: _Idle, part: str, points: Sequence[Point], batches: Callable[[Point], float]) -> Cost:
    each, batch = _line(
        [batches(point) / point.requests for point in points], [idle.request(part, point) for point in points]
    )
    return Cost(each=each, batch=batch)


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """(intercept, slope), neither below 0: the medians of all that two points give, so one may be far off."""
    pairs = list(itertools.combinations(zip(xs, ys, strict=True), 2))
    slopes = [(one[1] - other[1]) / (one[0] - other[0]) for one, other in pairs if one[0] != other[0]]
    slope = max(0.0, statistics.median(slopes)) if slopes else 0.0
    return max(0.0, statistics.median(y - slope * x for x, y in zip(xs, ys, strict=True))), slope


def _copies(point: Point) -> float:
    return point.used.copies


def _wal_a_row(point: Point, image_bytes: float) -> float:
    """Without images of pages: how many there are depends on the checkpoints, not on the load."""
    return max(0.0, point.used.wal_bytes - image_bytes * point.used.wal_images) / point.used.rows


def _merged(measured: Measured, state: str) -> Merged:
    for each in measured.merged:
        if each.state == state:
            return each
    raise BenchError(f"not measured: merges, {state}")


def _storage(measured: Measured) -> Storage:
    sizes = {int(count): found for count, found in measured.sizes.items()}
    few, many = sizes[min(sizes)], sizes[max(sizes)]
    more = max(sizes) - min(sizes)
    get, post = measured.best(GETS[-1]), measured.best(POSTS[-1])
    return Storage(
        log_bytes_a_row=few["log_bytes"] / few["log_rows"],
        count_bytes_a_row=few["count_bytes"] / few["count_rows"],
        count_rows_a_page=few["count_rows"] / few["count_pages"],
        network_bytes_a_get=get.used.network_bytes / get.requests,
        network_bytes_an_event=post.used.network_bytes / post.requests,
        primary_connections_a_worker=_more(few, many, "connections") / max(1, more),
        replica_connections_a_worker=_more(few, many, "replica_connections") / max(1, more),
    )


def _more(few: Mapping[str, float], many: Mapping[str, float], name: str) -> float:
    return many[name] - few[name] if many is not few else few[name]
