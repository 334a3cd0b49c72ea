"""`tayang merge` on its own: rows a second and WAL for each row, into a large table of counts."""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from loadtests.database import Database
from loadtests.figures import MergeFigures, MergeRun, MergeSeries
from loadtests.plan import ROWS_A_USER, Plan
from loadtests.progress import Progress
from loadtests.service import BenchError, Service

AFTER_CHECKPOINT: Final = "first after a checkpoint"
IN_A_ROW: Final = "one after another"
SAME_USERS: Final = "the same users again"
EVEN: Final = {"even": 0}
_SKEWS: Final = {**EVEN, "Zipf, s = 0.8": 1}
_SEED_USERS: Final = 50_000


def measure_merge(
    plan: Plan,
    service: Service,
    database: Database,
    campaigns: list[int],
    progress: Progress,
    *,
    seeded_users: int,
    skews: Mapping[str, int] = _SKEWS,
) -> MergeFigures:
    """With maintenance suspended: nothing else merges. Raises BenchError."""
    rows = plan.merge_users * ROWS_A_USER
    with progress.step(f"counts up to {plan.merge_users:,} users, {rows:,} rows"):
        for first in range(seeded_users, plan.merge_users, _SEED_USERS):
            database.seed(first, min(first + _SEED_USERS, plan.merge_users), campaigns)
        database.tidy()
    counted = database.counted_rows()
    if counted < rows:
        raise BenchError(f"{rows} rows should be counted, {counted} are")
    with service.suspended_maintenance(database.end_duties):
        merger = _Merger(plan, service, database, campaigns)
        series = tuple(
            each for users, skew in skews.items() for each in _series(plan, merger, users, skew, progress)
        )
    return MergeFigures(counted_rows=counted, series=series)


class _Merger:
    """Fills the buffer as one api process would, and merges it."""

    def __init__(self, plan: Plan, service: Service, database: Database, campaigns: list[int]) -> None:
        self.database = database
        self._plan = plan
        self._service = service
        self._campaigns = campaigns
        self._instance = secrets.randbits(62) + 1
        self._seq = 0

    def merge(self, seed: float, skew: int) -> MergeRun:
        """One merge of new impressions; equal seeds are impressions of the same users and campaigns."""
        plan = self._plan
        parameters: dict[str, Any] = {
            "instance": self._instance,
            "after": self._seq,
            "rows": plan.merge_rows,
            "users": plan.merge_users,
            "skew": skew,
            "campaigns": self._campaigns,
        }
        self.database.fill_buffer(seed, parameters)
        self._seq += plan.merge_rows
        before = self.database.wal_position()
        result = json.loads(self._service.command("merge", "--json"))
        wal_bytes = self.database.wal_position() - before
        if (result["rows"], result["events"], result["rows_left"]) != (plan.merge_rows, plan.merge_rows, 0):
            raise BenchError(f"a merge of {plan.merge_rows} new rows says {result}")
        return MergeRun(
            rows=result["rows"], users=result["users"], seconds=result["seconds"], wal_bytes=wal_bytes
        )


def _series(plan: Plan, merger: _Merger, users: str, skew: int, progress: Progress) -> list[MergeSeries]:
    first, again = [], []
    with progress.step(f"merges, users {users}: {AFTER_CHECKPOINT}, then {SAME_USERS}"):
        for seed in _seeds(plan.merges, 0.0):
            merger.database.checkpoint()
            first.append(merger.merge(seed, skew))
            again.append(merger.merge(seed, skew))
    with progress.step(f"merges, users {users}: {IN_A_ROW}"):
        in_a_row = [merger.merge(seed, skew) for seed in _seeds(plan.merges, 0.5)]
    found: list[tuple[str, list[MergeRun]]] = [
        (AFTER_CHECKPOINT, first),
        (IN_A_ROW, in_a_row),
        (SAME_USERS, again),
    ]
    return [MergeSeries(users=users, state=state, runs=tuple(runs)) for state, runs in found]


def _seeds(count: int, start: float) -> list[float]:
    """Different seeds for PostgreSQL's setseed, from `start` on (0 to 0.5)."""
    return [start + 0.4 * (number + 1) / count for number in range(count)]
