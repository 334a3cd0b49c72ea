"""What a rate needs, and which part of one primary is the first that no longer does."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from loadtests.capacity.model import Model, first_touches
from loadtests.capacity.readings import PRIMARY_PARTS
from loadtests.capacity.worker import Worker, fullest_worker

_MB: Final = 1e6
_GB: Final = 1e9
_PAGE_BYTES: Final = 8192
_DAY_SECONDS: Final = 86_400
#: An api process reads so often at least, to learn what was merged.
_IDLE_READ_SECONDS: Final = 0.25
#: Maintenance, streaming and a human, beside the api workers.
_OTHER_CONNECTIONS: Final = 10
#: A worker that has less of its core for its own requests is none.
_BUSY_MIN: Final = 0.05
#: Beyond it no limit is looked for.
_TPS_MAX: Final = 1e9


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """`busy`: how much of a core may be used. `announcements`: TAYANG_PEER_ANNOUNCEMENTS.
    `average_share`: a day's mean rate by `tps`, its peak.

    Disks of the primary: `wal_mb_per_second` and `iops`. Events come one a POST.
    """

    tps: float
    get_share: float = 0.55
    busy: float = 0.6
    users: int = 10_000_000
    campaigns_a_user: float = 10.0
    retention_days: int = 35
    average_share: float = 0.4
    checkpoint_seconds: float = 300.0
    primary_cores: int = 16
    replica_cores: int = 16
    wal_mb_per_second: float = 200.0
    iops: float = 10_000.0
    pending_max_rows: int = 250_000
    announcements: bool = True

    @classmethod
    def names(cls) -> frozenset[str]:
        return frozenset(field.name for field in fields(cls))

    @property
    def events_per_second(self) -> float:
        return self.tps * (1 - self.get_share)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """`tps`: where `available` is used up, all else equal; infinite if never."""

    name: str
    unit: str
    used: float
    available: float
    tps: float


@dataclass(frozen=True, kw_only=True)
class Needs:
    wanted: Wanted
    worker: Worker
    workers: int
    replicas: int
    replica_cores: float  # of each
    primary_cores: float
    network_mb_per_second: float
    log_gb_a_day: float
    log_gb: float
    counts_gb: float
    pending_rows: float  # of all workers
    pending_full_seconds: float
    primary_connections: int
    replica_connections: int
    limits: tuple[Limit, ...]  # the first to be reached first

    @property
    def fits(self) -> bool:
        """On one primary."""
        return all(limit.used <= limit.available for limit in self.limits)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "fits": self.fits}


def needs(model: Model, wanted: Wanted) -> Needs:
    # A worker hears of all events, whatever it does itself. No room for that: a limit says so.
    left = wanted.busy - _hearing(model, wanted)
    worker = fullest_worker(model, wanted.get_share, left if left > _BUSY_MIN else wanted.busy)
    workers = math.ceil(wanted.tps / worker.rate)
    use = _Use(model, worker)
    replay = use.replay(wanted) * wanted.busy  # seconds a second
    beside = replay + wanted.tps * use.cpu("replica_rest") + model.idle["replica_rest"]
    reading = wanted.tps * use.cpu("readers") + workers * model.idle["readers"]
    room = wanted.busy * wanted.replica_cores - beside
    replicas = math.ceil(reading / room) if room > 0 else 1
    events, storage = wanted.events_per_second, model.storage
    daily_rows = events * wanted.average_share * _DAY_SECONDS
    seen_after = 1 / model.merge.merges_per_second + _IDLE_READ_SECONDS + worker.latency_seconds
    return Needs(
        wanted=wanted,
        worker=worker,
        workers=workers,
        replicas=replicas,
        replica_cores=(reading / replicas + beside) / wanted.busy,
        primary_cores=use.primary(wanted),
        network_mb_per_second=(
            wanted.tps * wanted.get_share * storage.network_bytes_a_get
            + events * storage.network_bytes_an_event
        )
        / _MB,
        log_gb_a_day=daily_rows * storage.log_bytes_a_row / _GB,
        log_gb=daily_rows * wanted.retention_days * storage.log_bytes_a_row / _GB,
        counts_gb=wanted.users * wanted.campaigns_a_user * storage.count_bytes_a_row / _GB,
        pending_rows=events * seen_after,
        pending_full_seconds=wanted.pending_max_rows * workers / events if events else math.inf,
        primary_connections=math.ceil(workers * storage.primary_connections_a_worker) + _OTHER_CONNECTIONS,
        replica_connections=math.ceil(workers * storage.replica_connections_a_worker) + _OTHER_CONNECTIONS,
        limits=_limits(use, wanted),
    )


def _hearing(model: Model, wanted: Wanted) -> float:
    """CPU seconds a second of each api worker."""
    return wanted.events_per_second * model.heard["api"] if wanted.announcements else 0.0


def _limits(use: "_Use", wanted: Wanted) -> tuple[Limit, ...]:
    each: list[tuple[str, str, Callable[[Wanted], float], float]] = [
        ("merge, one process", "cores", use.merge, 1.0),
        ("announcements, heard by each api worker", "cores", use.hearing, 1.0),
        ("replay on each replica, one process", "cores", use.replay, 1.0),
        ("CPU of the primary", "cores", use.primary, wanted.primary_cores),
        ("WAL", "MB/s", use.wal_mb, wanted.wal_mb_per_second),
        ("syncs and pages written", "IOPS", use.iops, wanted.iops),
    ]
    found = [
        Limit(
            name=name,
            unit=unit,
            used=used(wanted),
            available=available,
            tps=_reached(wanted, used, available),
        )
        for name, unit, used, available in each
    ]
    return tuple(sorted(found, key=lambda limit: limit.tps))


def _reached(wanted: Wanted, used: Callable[[Wanted], float], available: float) -> float:
    """Requests a second at which `used` reaches `available`: all of them grow with the rate."""
    low, high = 0.0, _TPS_MAX
    if used(_at(wanted, high)) < available:
        return math.inf
    while high - low > 1:
        middle = (low + high) / 2
        if used(_at(wanted, middle)) > available:
            high = middle
        else:
            low = middle
    return low


def _at(wanted: Wanted, tps: float) -> Wanted:
    return Wanted(**{**asdict(wanted), "tps": tps})


class _Use:
    """What a rate uses of a server. Cores are those needed so that they are not busier than wanted."""

    def __init__(self, model: Model, worker: Worker) -> None:
        self._model = model
        self._worker = worker

    def cpu(self, part: str) -> float:
        """Seconds a request."""
        worker = self._worker
        return self._model.cpu_of(part, worker.get_share, worker.read_batch, worker.copy_batch)

    def merge(self, wanted: Wanted) -> float:
        return self._merge_seconds(wanted) / wanted.busy

    def replay(self, wanted: Wanted) -> float:
        return (wanted.tps * self.cpu("replay") + self._model.idle["replay"]) / wanted.busy

    def hearing(self, wanted: Wanted) -> float:
        return _hearing(self._model, wanted) / wanted.busy

    def primary(self, wanted: Wanted) -> float:
        others = [part for part in PRIMARY_PARTS if part != "merge"]
        seconds = sum(wanted.tps * self.cpu(part) + self._model.idle[part] for part in others)
        if wanted.announcements:
            hearers = max(0.0, wanted.tps / self._worker.rate - 1)
            seconds += wanted.events_per_second * hearers * self._model.heard["primary_rest"]
        return (seconds + self._merge_seconds(wanted)) / wanted.busy

    def wal_mb(self, wanted: Wanted) -> float:
        merge = self._model.merge
        a_row = merge.wal_bytes_a_row + self._images(wanted) * merge.image_bytes
        return (wanted.events_per_second * a_row + merge.merges_per_second * merge.wal_bytes_a_merge) / _MB

    def iops(self, wanted: Wanted) -> float:
        """Each page that was changed is written once between checkpoints, and so is the log."""
        model, events = self._model, wanted.events_per_second
        syncs = model.merge.merges_per_second * model.merge.syncs_a_merge
        return syncs + events * (self._images(wanted) + model.storage.log_bytes_a_row / _PAGE_BYTES)

    def _merge_seconds(self, wanted: Wanted) -> float:
        merge = self._model.merge
        beside = self._model.idle["merge"] + merge.merges_per_second * merge.cpu_a_merge
        a_row = self._model.post.cpu["merge"].each + self._images(wanted) * merge.seconds_an_image
        return wanted.events_per_second * a_row + beside

    def _images(self, wanted: Wanted) -> float:
        """A row. Users come evenly, which is the most; those of Zipf's law touch fewer pages."""
        pages = wanted.users * wanted.campaigns_a_user / self._model.storage.count_rows_a_page
        return first_touches(0.0, wanted.events_per_second * wanted.checkpoint_seconds, pages)
