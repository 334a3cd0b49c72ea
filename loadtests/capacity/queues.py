"""Rates, waiting and batches: each follows from the others, so they are found together."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadtests.capacity.model import Model
from loadtests.capacity.points import Load, Measured
from loadtests.capacity.readings import PARTS


@dataclass(frozen=True, kw_only=True)
class Cores:
    """Of the machine under test; `api_alone`: the one worker has a core for itself, the rest the others."""

    count: int
    api_alone: bool


@dataclass(frozen=True, kw_only=True)
class State:
    """What goes on under a load. `cpu`: seconds of each part for one request, without an idle service's."""

    requests_per_second: float
    read_batch: float
    copy_batch: float
    cpu: Mapping[str, float]
    latency_seconds: float


def cores_of(measured: Measured, load: Load) -> Cores:
    return Cores(count=measured.cores, api_alone=measured.pinned and load.workers == 1)


def closed(model: Model, load: Load, cores: Cores) -> State:
    """As many requests in flight as there are connections; mean value analysis, customer by customer."""
    batches = _batches(model, load, load.connections)
    cpu = _cpu(model, load, *batches)
    stations, delay = _stations(model, load, cpu, cores)
    queues = [0.0] * len(stations)
    rate = 0.0
    for customers in range(1, load.connections + 1):
        waits = [demand * (1 + queue) for demand, queue in zip(stations, queues, strict=True)]
        rate = customers / (delay + sum(waits))
        queues = [rate * wait for wait in waits]
    most = mix(load, model.get.busy_max, model.post.busy_max)
    rate = min(rate, *(most / demand for demand in stations), most * load.workers / cpu["api"])
    return _state(rate, batches, cpu, load.connections / rate)


def paced(model: Model, load: Load, latency_seconds: float) -> State:
    """The rate is given, and how long requests take: what is in flight is the one times the other."""
    assert load.rate is not None
    batches = _batches(model, load, load.rate * latency_seconds)
    return _state(load.rate, batches, _cpu(model, load, *batches), latency_seconds)


def _batches(model: Model, load: Load, in_flight: float) -> tuple[float, float]:
    a_worker = in_flight / load.workers
    return (
        model.get.batch_size(a_worker * load.get_share),
        model.post.batch_size(a_worker * (1 - load.get_share)),
    )


def _cpu(model: Model, load: Load, read_batch: float, copy_batch: float) -> dict[str, float]:
    cpu = {
        part: model.cpu_of(part, load.get_share, read_batch, copy_batch, others=load.workers - 1)
        for part in PARTS
    }
    if load.workers > 1:
        cpu["api"] *= model.shared
    return cpu


def _stations(model: Model, load: Load, cpu: Mapping[str, float], cores: Cores) -> tuple[list[float], float]:
    """Seconds of each group of cores for a request, as if it were one fast core; and delay beside them.

    What an idle service takes is not there for requests.
    """
    idle = {part: seconds * (load.workers if part in ("api", "readers") else 1)
            for part, seconds in model.idle.items()}  # fmt: skip
    groups = [(("api",), 1), (tuple(part for part in PARTS if part != "api"), cores.count - 1)]
    if not cores.api_alone:
        groups = [(PARTS, cores.count)]
    stations, delay = [], mix(load, model.get.delay_seconds, model.post.delay_seconds)
    for parts, count in groups:
        work = sum(cpu[part] for part in parts)
        left = count - sum(idle.get(part, 0.0) for part in parts)
        stations.append(work / max(left, 0.01))
        delay += work - work / count
    return stations, delay


def mix(load: Load, of_gets: float, of_posts: float) -> float:
    return load.get_share * of_gets + (1 - load.get_share) * of_posts


def _state(rate: float, batches: tuple[float, float], cpu: Mapping[str, float], latency: float) -> State:
    return State(
        requests_per_second=rate,
        read_batch=batches[0],
        copy_batch=batches[1],
        cpu=cpu,
        latency_seconds=latency,
    )
