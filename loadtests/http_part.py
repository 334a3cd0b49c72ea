"""GET and POST beside the bare handler, in turns, so that a slow minute of the machine hits all three."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvloop

from loadtests.bare_process import Address, BareHandler, bare_handler
from loadtests.cores import Split, Usage, cpu_seconds, pin, unpin
from loadtests.database import Database
from loadtests.figures import TARGETS, HttpFigures, HttpRun, percentile
from loadtests.generator import LoadResult, OnAnswer, Request, closed_loop
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.service import BenchError, Service
from loadtests.traffic import Population, bare_gets

_STATUS: Final = {"bare": 200, "bare_long": 200, "get": 200, "post": 202}


def measure_http(
    plan: Plan, service: Service, database: Database, campaigns: list[int], progress: Progress
) -> HttpFigures:
    """Seed, harvest tokens, then the rounds. Raises BenchError or LoadError; then there are no figures."""
    with progress.step(f"counts of {plan.users:,} users"):
        database.seed(0, plan.users, campaigns)
        database.tidy()
    with progress.step(f"JWTs of {plan.users:,} users"):
        population = Population(plan.users, service.user_secret, service.address)
    with progress.step("one GET of each user: the JWTs get known, the tokens are kept"):
        left_out = _harvest(plan, service, population)
    progress.say(f"{population.served / plan.users:.2f} popups a GET, {len(population.tokens):,} tokens")
    before = service.metrics()
    with bare_handler() as bare, _pinned(service, bare.pid) as split:
        progress.say(str(split))
        bench = _Rounds(plan, service, database, population, bare, split, progress)
        usage = Usage.now()
        runs = tuple(bench.run(number) for number in range(1, plan.rounds + 1))
        foreign, stolen = Usage.now().foreign_share(usage), Usage.now().stolen_share(usage)
    _check_log(database, bench.confirmed)
    figures = HttpFigures(
        runs=tuple(run for in_round in runs for run in in_round),
        pinning=str(split),
        popups_a_get=population.served / plan.users,
        replica_share=_replica_share(before, service.metrics()),
        left_out=left_out,
        confirmed=bench.confirmed,
        foreign_share=foreign,
        stolen_share=stolen,
    )
    if figures.disturbed:
        progress.say(
            f"not quiet: {foreign:.1%} of the CPU went to other processes, {stolen:.1%} to other guests"
        )
    return figures


def _harvest(plan: Plan, service: Service, population: Population) -> dict[str, float]:
    """Collect tokens; returns how many campaigns a GET leaves out, by reason."""
    before = service.metrics()
    load = run_load(service.address, population.everyone_once(), plan, "get", population.keep_tokens)
    population.mix_tokens()
    return _left_out(before, service.metrics(), load.answers)


@dataclass
class _Rounds:
    plan: Plan
    service: Service
    database: Database
    population: Population
    bare: BareHandler
    split: Split
    progress: Progress
    confirmed: int = 0

    def run(self, number: int) -> list[HttpRun]:
        return [self._measure(target, number) for target in TARGETS]

    def _measure(self, target: str, number: int) -> HttpRun:
        bare = target.startswith("bare")
        server = "bare" if bare else "api"
        address = self.bare.address if bare else self.service.address
        pids = {"bare": self.bare.pid} if bare else self.service.pids()
        pids["generator"] = os.getpid()
        before = _cpu(pids)
        load = run_load(address, self._requests(target), self.plan, target, timed=True)
        loaded = _cpu(pids)
        if target == "post":
            self.confirmed += load.answers
        # What a POST starts is over when it is merged and replayed: that is part of its price.
        self.database.settle()
        after = _cpu(pids)
        busy = {name: loaded[name] - before[name] for name in pids}
        run = HttpRun(
            target=target,
            round=number,
            requests_per_second=len(load.latencies) / load.window_seconds,
            p50_ms=1000 * percentile(load.latencies, 50),
            p99_ms=1000 * percentile(load.latencies, 99),
            requests=load.answers,
            server_busy=busy[server] / load.elapsed_seconds,
            others_busy=_share(sum(busy.values()) - busy[server], load, self.split),
            cpu_seconds={name: 1000 * (after[name] - before[name]) / load.answers for name in pids},
        )
        self.progress.say(
            f"round {number}  {target:9} {run.requests_per_second:9,.0f}/s   p50 {run.p50_ms:5.2f} ms   "
            f"p99 {run.p99_ms:5.2f} ms   server {run.server_busy:4.0%} busy, others {run.others_busy:4.0%}"
        )
        return run

    def _requests(self, target: str) -> Iterator[Request]:
        if target == "bare":
            return bare_gets(self.bare.address)
        return self.population.posts() if target == "post" else self.population.gets()


def run_load(
    address: Address,
    requests: Iterator[Request],
    plan: Plan,
    target: str,
    on_answer: OnAnswer | None = None,
    *,
    timed: bool = False,
) -> LoadResult:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            closed_loop(
                address,
                requests,
                connections=plan.connections,
                expected_status=_STATUS[target],
                warm_up_seconds=plan.warm_up_seconds if timed else 0.0,
                measure_seconds=plan.measure_seconds if timed else None,
                on_answer=on_answer,
            )
        )


@contextmanager
def _pinned(service: Service, bare_pid: int) -> Iterator[Split]:
    split = pin([service.pids()["api"], bare_pid])
    try:
        yield split
    finally:
        unpin(split.tested | split.others)


def _check_log(database: Database, confirmed: int) -> None:
    """A figure for impressions that were not stored would be worthless."""
    stored = database.impressions()
    if stored != confirmed:
        raise BenchError(f"{confirmed} impressions were confirmed, {stored} are in the log")


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def _share(seconds: float, load: LoadResult, split: Split) -> float:
    return seconds / load.elapsed_seconds / len(split.others) if split.others else 0.0


def _replica_share(before: dict[str, float], after: dict[str, float]) -> float:
    replica = _grown(before, after, lambda name: 'server="replica"' in name)
    return replica / _grown(before, after, lambda name: "server=" in name)


def _left_out(before: dict[str, float], after: dict[str, float], gets: int) -> dict[str, float]:
    reasons = ("capped", "cooling_down", "not_listed")
    return {
        reason: _grown(before, after, lambda name, reason=reason: f'reason="{reason}"' in name) / gets  # type: ignore[misc]  # bound now
        for reason in reasons
    }


def _grown(before: dict[str, float], after: dict[str, float], chosen: Callable[[str], bool]) -> float:
    return sum(value - before.get(name, 0.0) for name, value in after.items() if chosen(name))
