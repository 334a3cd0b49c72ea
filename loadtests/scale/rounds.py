"""Rounds of GET and POST against a service that is there, beside the bare handler."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from loadtests.cores import Split, pin, unpin
from loadtests.database import Database
from loadtests.figures import HttpRun
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.service import BenchError, Service
from loadtests.systems import systems
from loadtests.traffic import Population
from loadtests.turns import Turns, run_load

#: A GET brings five tokens: enough for the POSTs of some seconds, also of few users.
_HARVEST_GETS: Final = 40_000


def rounds(
    plan: Plan,
    service: Service,
    database: Database,
    targets: Sequence[str],
    progress: Progress,
    *,
    step: int = 1,
    pinned: bool,
) -> tuple[HttpRun, ...]:
    """`plan.users` ask, each `step`-th user of those who are counted. Raises BenchError, LoadError."""
    with ExitStack() as stack:
        with progress.step(f"JWTs of {plan.users:,} users, and a GET of each"):
            population = Population(plan.users, service.user_secret, service.address, step=step)
            database.read_counts(population.users)

            def harvest() -> None:
                population.served = 0
                for _ in range(math.ceil(_HARVEST_GETS / plan.users)):
                    run_load(service.address, population.everyone_once(), plan, "get", population.keep_tokens)
                population.mix_tokens()

            harvest()
        running = stack.enter_context(systems(service, database, (), progress))
        workers = service.workers()
        # One by one: what each takes is summed up by how their names begin.
        apis = {f"api {number}": pid for number, pid in enumerate(workers[1:], 2)}
        running["tayang"] = replace(running["tayang"], pids={**running["tayang"].pids, **apis})
        split = Split(frozenset(), frozenset())
        if pinned:
            split = pin([*workers, running["bare"].pids["bare"]])
            stack.callback(unpin, split.tested | split.others)
        turns = Turns(plan, database, population, running, [], split, progress, harvest)
        stored = database.impressions()
        runs = tuple(turns.run(target, number) for number in range(1, plan.rounds + 1) for target in targets)
        if database.impressions() - stored != turns.confirmed["tayang"]:
            raise BenchError("not all impressions that were confirmed are in the log")
        return runs
