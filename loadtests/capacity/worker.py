"""One api worker on a core of its own: how much it does before the core is as busy as it may be."""

from dataclasses import dataclass
from typing import Final

from loadtests.capacity.model import Model

_STEPS: Final = 200
_RATE_MAX: Final = 1e6
_RATE_STEP: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """`rate` in requests a second; `busy`: of its core, 0 to 1."""

    rate: float
    get_share: float
    busy: float
    read_batch: float
    copy_batch: float
    latency_seconds: float


def fullest_worker(model: Model, get_share: float, busy: float) -> Worker:
    """The highest rate of such a mix at which its core is at most so busy."""
    low, high = 0.0, _RATE_MAX
    while high - low > _RATE_STEP:
        middle = (low + high) / 2
        if worker_at(model, get_share, middle, busy).busy > busy:
            high = middle
        else:
            low = middle
    return worker_at(model, get_share, low, busy)


def worker_at(model: Model, get_share: float, rate: float, busy_max: float) -> Worker:
    """A request waits 1 / (1 - `busy_max`) times as long as alone: servers may be as busy as the worker."""
    in_flight, read_batch, copy_batch, api, latency = 0.0, 1.0, 1.0, 0.0, 0.0
    delay = get_share * model.get.delay_seconds + (1 - get_share) * model.post.delay_seconds
    for _ in range(_STEPS):
        read_batch = model.get.batch_size(in_flight * get_share)
        copy_batch = model.post.batch_size(in_flight * (1 - get_share))
        api, readers, copy = (
            model.cpu_of(part, get_share, read_batch, copy_batch) for part in ("api", "readers", "copy")
        )
        latency = delay + (api + readers + copy) / (1 - busy_max)
        in_flight += (rate * latency - in_flight) / 10  # slowly, or it swings
    return Worker(
        rate=rate,
        get_share=get_share,
        busy=rate * api + model.idle["api"],
        read_batch=read_batch,
        copy_batch=copy_batch,
        latency_seconds=latency,
    )
