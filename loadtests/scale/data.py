"""One database that grows: GET, POST and merge at each size."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from typing import Final

import psycopg

from loadtests import machine
from loadtests.catalog import set_up_catalog
from loadtests.database import Database
from loadtests.generator import LoadError
from loadtests.merge_part import measure_merge
from loadtests.plan import ROWS_A_USER, Plan
from loadtests.progress import Progress
from loadtests.scale.points import TARGETS, Scale, ScalePoint
from loadtests.scale.rounds import rounds
from loadtests.service import BenchError, Service

#: Counts on primary and replica, their WAL, and room for the log.
_DISK_BYTES_A_ROW: Final = 900
#: Who asks: so many of all users, evenly spread over the table, or all if there are fewer. As many at each
#: size: what a process remembers of those who ask is the same, and only the tables grow.
_ASKING: Final = 10_000
_SEED_USERS: Final = 50_000


def measure_data(sizes: Sequence[int], plan: Plan, progress: Progress, *, shared_buffers_mib: int) -> Scale:
    """`sizes` in rows, the smallest first.

    Raises BenchError, LoadError or psycopg.Error if not even the first can be measured. What fails later
    ends it: `failure` says why, and what was measured before is kept.
    """
    _check_disk(sizes[-1])
    load_before = os.getloadavg()
    users = [max(1, size // ROWS_A_USER) for size in sizes]
    # The lists are those of the largest size from the start: only the counts grow.
    plan = replace(plan, users=users[-1])
    points: list[ScalePoint] = []
    with ExitStack() as stack:
        with progress.step("tayang up"):
            service = stack.enter_context(Service(shared_buffers_mib=shared_buffers_mib))
        database = stack.enter_context(Database(service))
        with progress.step("50 live campaigns"):
            campaigns = set_up_catalog(service, plan)
        about = machine.describe(database.version(), load_before, "loadtests.scale")
        failure = ""
        for seeded, count in pairwise((0, *users)):
            try:
                _grow(seeded, count, database, campaigns, progress)
                point = _point(replace(plan, merge_users=count), service, database, campaigns, progress)
            except (BenchError, LoadError, psycopg.Error) as error:
                if not points:
                    raise
                failure = f"{count * ROWS_A_USER:,} rows: {str(error).strip()}"
                break
            points.append(point)
    return Scale(unit="counted rows", points=points, machine=about, failure=failure)


def _grow(seeded: int, count: int, database: Database, campaigns: list[int], progress: Progress) -> None:
    with progress.step(f"counts of {count:,} users, {count * ROWS_A_USER:,} rows"):
        for first in range(seeded, count, _SEED_USERS):
            database.seed(first, min(first + _SEED_USERS, count), campaigns)
        database.tidy()


def _point(
    plan: Plan, service: Service, database: Database, campaigns: list[int], progress: Progress
) -> ScalePoint:
    asking = min(plan.merge_users, _ASKING)
    step = plan.merge_users // asking
    runs = rounds(replace(plan, users=asking), service, database, TARGETS, progress, step=step, pinned=True)
    # Fewer rows than users: as many impressions of a user within a merge at each size.
    merge_plan = replace(plan, merge_rows=min(plan.merge_rows, plan.merge_users))
    merge = measure_merge(merge_plan, service, database, campaigns, progress, seeded_users=plan.merge_users)
    return ScalePoint(value=plan.merge_users * ROWS_A_USER, runs=runs, merges=merge.series)


def _check_disk(rows: int) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    wanted = rows * _DISK_BYTES_A_ROW
    if free < wanted:
        raise BenchError(
            f"{rows:,} rows need some {wanted / 2**30:.0f} GiB in {tempfile.gettempdir()}, "
            f"{free / 2**30:.0f} GiB are free: set TMPDIR, or ask for fewer --rows"
        )
