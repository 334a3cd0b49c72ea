"""One run after another: each offers one target's requests for some seconds and measures what they took."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import uvloop

from loadtests.baselines.process import Address
from loadtests.cores import Split, cpu_seconds
from loadtests.database import Database
from loadtests.figures import TITLES, HttpRun, Point, percentile
from loadtests.generator import LoadResult, OnAnswer, Request, closed_loop
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.systems import System
from loadtests.traffic import Population, bare_gets

#: For the bare handler, which looks at none: as long as a popup's token of one of the generator's users.
_ANY_TOKEN: Final = b"A" * 75
_STATUS: Final = {"get": 200, "post": 202}
#: More than any service here answers: so many tokens are there before a run that uses them up.
_TOKENS_A_SECOND: Final = 25_000


@dataclass
class Turns:
    """`campaigns`: what a baseline's users say that they were shown. `harvest` gets more tokens."""

    plan: Plan
    database: Database
    population: Population
    systems: Mapping[str, System]
    campaigns: list[int]
    split: Split
    progress: Progress
    harvest: Callable[[], object]
    confirmed: Counter[str] = field(default_factory=Counter)  # impressions, by system

    def targets(self) -> tuple[str, ...]:
        """Those whose system runs, in the order of their turns."""
        return tuple(target for target in TITLES if _system(target) in self.systems)

    def run(self, target: str, number: int) -> HttpRun:
        system = self.systems[_system(target)]
        self._stock_up(target, self.plan)
        pids = {**system.pids, "generator": os.getpid()}
        before, wal = _cpu(pids), self.database.wal_position()
        load = self._load(target, self.plan)
        loaded = _cpu(pids)
        # What a POST starts is over when it is merged and replayed: that is part of its price.
        self.database.settle()
        after, wal = _cpu(pids), self.database.wal_position() - wal
        busy = {name: loaded[name] - before[name] for name in pids}
        run = HttpRun(
            target=target,
            round=number,
            requests_per_second=len(load.latencies) / load.window_seconds,
            p50_ms=1000 * percentile(load.latencies, 50),
            p99_ms=1000 * percentile(load.latencies, 99),
            requests=load.answers,
            server_busy=busy[system.server] / load.elapsed_seconds,
            others_busy=_share(sum(busy.values()) - busy[system.server], load, self.split),
            cpu_seconds={name: 1000 * (after[name] - before[name]) / load.answers for name in pids},
            wal_bytes=wal / load.answers if _kind(target) == "post" and "primary" in pids else None,
        )
        self.progress.say(
            f"round {number}  {target:15} {run.requests_per_second:9,.0f}/s   p50 {run.p50_ms:5.2f} ms   "
            f"p99 {run.p99_ms:5.2f} ms   server {run.server_busy:4.0%} busy, others {run.others_busy:4.0%}"
        )
        return run

    def point(self, target: str, connections: int) -> Point:
        """A short run with so many connections."""
        plan = replace(self.plan, connections=connections, measure_seconds=self.plan.curve_seconds)
        self._stock_up(target, plan)
        load = self._load(target, plan)
        self.database.settle()
        return Point(
            target=target,
            connections=connections,
            requests_per_second=len(load.latencies) / load.window_seconds,
            p50_ms=1000 * percentile(load.latencies, 50),
            p99_ms=1000 * percentile(load.latencies, 99),
        )

    def _load(self, target: str, plan: Plan) -> LoadResult:
        system = self.systems[_system(target)]
        load = run_load(system.address, self._requests(target, system), plan, _kind(target), timed=True)
        if _kind(target) == "post":
            self.confirmed[system.name] += load.answers
        return load

    def _requests(self, target: str, system: System) -> Iterator[Request]:
        if target == "bare":
            return bare_gets(system.address)
        if _kind(target) == "get":
            return self.population.gets()
        if system.name == "tayang":
            return self.population.posts()
        if system.name == "bare":
            return self.population.posts_of([_ANY_TOKEN])
        return self.population.posts_of([str(campaign).encode() for campaign in self.campaigns])

    def _stock_up(self, target: str, plan: Plan) -> None:
        wanted = int((plan.warm_up_seconds + plan.measure_seconds) * _TOKENS_A_SECOND)
        # As many as one harvest gives at least: a quick run has few users, and needs few.
        if target == "post" and len(self.population.tokens) < min(wanted, self.population.served):
            with self.progress.step("more tokens: another GET of each user"):
                self.harvest()


def run_load(
    address: Address,
    requests: Iterator[Request],
    plan: Plan,
    kind: str,
    on_answer: OnAnswer | None = None,
    *,
    timed: bool = False,
) -> LoadResult:
    """`kind`: get or post. Not `timed`: all the requests, as fast as they are answered. Raises LoadError."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            closed_loop(
                address,
                requests,
                connections=plan.connections,
                expected_status=_STATUS[kind],
                warm_up_seconds=plan.warm_up_seconds if timed else 0.0,
                measure_seconds=plan.measure_seconds if timed else None,
                on_answer=on_answer,
            )
        )


def _system(target: str) -> str:
    if target.startswith("bare"):
        return "bare"
    return target.rpartition("_")[0] or "tayang"


def _kind(target: str) -> str:
    return "post" if target.endswith("post") else "get"


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def _share(seconds: float, load: LoadResult, split: Split) -> float:
    return seconds / load.elapsed_seconds / len(split.others) if split.others else 0.0
