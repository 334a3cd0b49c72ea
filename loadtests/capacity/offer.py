"""One load at a time is offered to a service, and what its parts used for it is read."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Final

import uvloop

from loadtests.capacity.paced import open_loop
from loadtests.capacity.points import Load, Point
from loadtests.capacity.readings import REPORTED_SECONDS, Reader
from loadtests.database import Database
from loadtests.figures import percentile
from loadtests.generator import LoadResult, Request, closed_loop
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.service import Service
from loadtests.traffic import Population
from loadtests.turns import run_load

#: More than any service here confirms: so many tokens are there before they are used up.
_TOKENS_A_SECOND: Final = 25_000
#: Popups to a GET, and events.
_EXPECTED: Final = frozenset({200, 202})
_SEED: Final = 11


class Offer:
    """`plan.users` ask; a GET of each beforehand makes their JWTs known, and gives tokens."""

    def __init__(
        self, plan: Plan, service: Service, database: Database, reader: Reader, progress: Progress
    ) -> None:
        self._plan = plan
        self._address = service.address
        self._database = database
        self._reader = reader
        self._progress = progress
        self._random = random.Random(_SEED)
        self._population = Population(plan.users, service.user_secret, service.address)
        self._harvest()

    def point(self, load: Load, number: int) -> Point:
        """Raises LoadError; BenchError if what was confirmed is not merged in time."""
        self._stock_up(load)
        time.sleep(REPORTED_SECONDS)
        before = self._reader.read()
        result = self._offer(load)
        loaded = self._reader.read()
        self._database.settle()
        time.sleep(REPORTED_SECONDS)
        point = Point(
            load=load,
            round=number,
            requests=result.answers,
            elapsed_seconds=result.elapsed_seconds,
            requests_per_second=result.answers / result.elapsed_seconds,
            p50_ms=1000 * percentile(result.latencies, 50) if result.latencies else 0.0,
            p99_ms=1000 * percentile(result.latencies, 99) if result.latencies else 0.0,
            busy=(loaded - before).cpu,
            used=self._reader.read() - before,
        )
        self._progress.say(f"round {number}  {_told(point)}")
        return point

    def settle(self) -> None:
        """After a load that went wrong: wait until what there was of it is merged and replayed."""
        self._database.settle()

    def _offer(self, load: Load) -> LoadResult:
        seconds = self._plan.measure_seconds
        if not load.connections:
            time.sleep(seconds)
            return LoadResult(seconds, elapsed_seconds=seconds)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if load.rate is not None:
                return runner.run(
                    open_loop(
                        self._address,
                        self._requests(load),
                        rate=load.rate,
                        connections=load.connections,
                        expected=_EXPECTED,
                        seconds=seconds,
                    )
                )
            return runner.run(
                closed_loop(
                    self._address,
                    self._requests(load),
                    connections=load.connections,
                    expected_status=_EXPECTED,
                    measure_seconds=seconds,
                )
            )

    def _requests(self, load: Load) -> Iterator[Request]:
        gets, posts = self._population.gets(), self._population.posts()
        while (request := next(gets if self._random.random() < load.get_share else posts, None)) is not None:
            yield request

    def _stock_up(self, load: Load) -> None:
        wanted = int((1 - load.get_share) * self._plan.measure_seconds * _TOKENS_A_SECOND)
        # As many as one harvest gives at least: a quick run has few users, and needs few.
        if load.connections and len(self._population.tokens) < min(wanted, self._population.served):
            self._harvest()

    def _harvest(self) -> None:
        with self._progress.step("tokens: a GET of each user"):
            self._population.served = 0
            run_load(
                self._address,
                self._population.everyone_once(),
                self._plan,
                "get",
                self._population.keep_tokens,
            )
            self._population.mix_tokens()
            self._database.settle()


def _told(point: Point) -> str:
    used, requests = point.used, max(1, point.requests)
    cpu = sum(seconds for part, seconds in used.cpu.items() if part != "generator")
    if not point.load.connections:
        return f"{point.load.name:32} {cpu / used.seconds:.1%} of a core"
    return (
        f"{point.load.name:32} {point.requests_per_second:8,.0f}/s   p50 {point.p50_ms:6.2f} ms   "
        f"{1e6 * cpu / requests:5.0f} µs of CPU a request"
    )
