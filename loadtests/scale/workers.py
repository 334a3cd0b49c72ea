"""The same data, answered by more and more api workers, each number in turn."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from loadtests import machine
from loadtests.figures import HttpRun
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.scale.points import TARGETS, Scale, ScalePoint
from loadtests.scale.rounds import rounds
from loadtests.seeded import seeded_service


def measure_workers(counts: Sequence[int], round_count: int, plan: Plan, progress: Progress) -> Scale:
    """Each round starts a service for each number of workers. Raises BenchError, LoadError.

    `plan.connections` are to each worker: with fewer, its batches are smaller, and dearer.
    """
    found: dict[int, list[HttpRun]] = {count: [] for count in counts}
    about: dict[str, Any] = {}
    for _ in range(round_count):
        for count in counts:
            each = replace(plan, rounds=1, connections=count * plan.connections)
            runs, about = _measure(each, count, progress)
            found[count] += runs
    points = [ScalePoint(value=count, runs=tuple(runs)) for count, runs in found.items()]
    return Scale(unit="api workers", points=points, machine=about)


def _measure(plan: Plan, count: int, progress: Progress) -> tuple[tuple[HttpRun, ...], dict[str, Any]]:
    load_before = os.getloadavg()
    with ExitStack() as stack:
        service, database, _ = seeded_service(stack, plan, count, progress)
        runs = rounds(plan, service, database, TARGETS, progress, pinned=False)
        return runs, machine.describe(database.version(), load_before, "loadtests.scale")
