"""The model: what a request, a batch, a merged row and an idle service cost. Each parameter has a meaning."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

PAGE_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU seconds: `each` of its own, and `batch` shared by all that are in a batch with it."""

    each: float
    batch: float

    def of_one(self, batch_size: float) -> float:
        return self.each + self.batch / batch_size


@dataclass(frozen=True, kw_only=True)
class Kind:
    """GETs, or events. `cpu` by part. `share_in_batch`: of the requests in flight at a worker, how many are
    in the batch. `delay_seconds`: of one request alone, beyond its CPU time. `busy_max`: how busy the busiest
    core gets before requests only wait longer.
    """

    cpu: Mapping[str, Cost]
    share_in_batch: float
    delay_seconds: float
    busy_max: float

    def batch_size(self, in_flight: float) -> float:
        """With so many requests in flight at a worker: at least one, at most all of them.

        Few in flight come together by chance, many because they wait for the batch before: the root of the
        squares goes from the one to the other.
        """
        return min(max(1.0, in_flight), math.hypot(1.0, self.share_in_batch * in_flight))


@dataclass(frozen=True, kw_only=True)
class Merge:
    """A merged row costs CPU and WAL; more if it is the first on its page since a checkpoint, for then the
    whole page is written to the WAL. `wal_bytes_alone`: of a row in a merge of thousands.
    `wal_bytes_a_row`, and what each merge that finds rows costs beside its rows: in operation.
    """

    seconds_a_row: float
    seconds_an_image: float
    wal_bytes_alone: float
    wal_bytes_a_row: float
    wal_bytes_a_merge: float
    image_bytes: float
    cpu_a_merge: float
    syncs_a_merge: float
    merges_per_second: float


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Bytes of a row on disk with its indexes, and of the network for a request, all hops together."""

    log_bytes_a_row: float
    count_bytes_a_row: float
    count_rows_a_page: float
    network_bytes_a_get: float
    network_bytes_an_event: float
    primary_connections_a_worker: float
    replica_connections_a_worker: float


@dataclass(frozen=True, kw_only=True)
class Model:
    """`idle`: CPU seconds a second of each part, those of `api` and `readers` for each worker.

    `shared`: CPU time of an api worker without a core of its own, by that of one with.
    `heard`: CPU seconds by part of an event for each other worker, which it is announced to.
    `amid`: CPU seconds more by part of a GET while events come: the rows that it visits have just changed.
    """

    get: Kind
    post: Kind
    idle: Mapping[str, float]
    shared: float
    heard: Mapping[str, float]
    amid: Mapping[str, float]
    idle_syncs: float
    merge: Merge
    storage: Storage

    def cpu_of(
        self, part: str, get_share: float, read_batch: float, copy_batch: float, *, others: float = 0.0
    ) -> float:
        """CPU seconds of a part for a request of such a mix, an idle service's not among them.

        `others`: workers that hear of it.
        """
        get, post = self.get.cpu.get(part), self.post.cpu.get(part)
        of_get = get.of_one(read_batch) if get else 0.0
        if get_share < 1:
            of_get += self.amid.get(part, 0.0)
        of_post = (post.of_one(copy_batch) if post else 0.0) + others * self.heard.get(part, 0.0)
        return get_share * of_get + (1 - get_share) * of_post


def first_touches(rows_before: float, rows: float, pages: float) -> float:
    """Of `rows` evenly drawn ones, the share that is the first on its page since the last checkpoint.

    `rows_before` have come since then. A page is left alone by k rows with probability e^(-k/pages).
    """
    if not rows:
        return 0.0
    return pages * (math.exp(-rows_before / pages) - math.exp(-(rows_before + rows) / pages)) / rows
