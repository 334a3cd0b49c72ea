"""`python -m loadtests.many`: what 5,000 live campaigns cost a GET that 50 do not, in turns in one run.

The 4,950 others are switched on and off in the database between rounds. Progress goes to standard
error, the figures to standard output.
"""

import argparse
import json
import signal
import statistics
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Final

from loadtests.campaigns import CAMPAIGNS, MANY_PREFIX, many
from loadtests.catalog import set_up_catalog
from loadtests.cores import cpu_seconds, pin, unpin
from loadtests.database import Database
from loadtests.figures import percentile
from loadtests.generator import LoadError
from loadtests.plan import FULL, QUICK, Plan
from loadtests.progress import Progress
from loadtests.service import BenchError, Service
from loadtests.traffic import Population
from loadtests.turns import run_load

MANY: Final = 5_000
#: Issue 4: at least this share of the throughput with 50.
AIM: Final = 0.6
_USERS: Final = 20_000
_INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Run:
    """One round with so many live campaigns. CPU of the api process in seconds per 1,000 GETs."""

    live: int
    gets_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.live:6,} live  {self.gets_per_second:8,.0f}/s   p50 {self.p50_ms:5.2f} ms   "
            f"p99 {self.p99_ms:5.2f} ms   {1000 * self.cpu_seconds:5.0f} µs of CPU a GET"
        )


def main() -> int:
    """0: measured; 1: it went wrong; 130: interrupted."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress()
    plan = replace(QUICK if arguments.quick else FULL, rounds=arguments.rounds)
    try:
        runs = _measure(plan, arguments.campaigns, progress)
    except (BenchError, LoadError) as error:
        progress.say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; everything was stopped")
        return _INTERRUPTED
    if arguments.json:
        print(json.dumps([asdict(run) for run in runs]))
    else:
        print(_told(runs))
    return 0


def _measure(plan: Plan, campaigns: int, progress: Progress) -> list[Run]:
    plan = replace(plan, users=min(plan.users, _USERS))
    with ExitStack() as stack:
        with progress.step("tayang up"):
            service = stack.enter_context(Service())
        database = stack.enter_context(Database(service))
        with progress.step(f"{CAMPAIGNS} live campaigns and {campaigns - CAMPAIGNS:,} paused ones"):
            few = set_up_catalog(service, plan)
            for campaign in many(campaigns - CAMPAIGNS):
                service.admin("POST", "/v1/admin/campaigns", {**campaign, "status": "paused"})
        with progress.step(f"counts of {plan.users:,} users"):
            database.seed(0, plan.users, few)
            database.tidy()
        population = Population(plan.users, service.user_secret, service.address)
        with progress.step("one GET of each user: the JWTs get known"):
            run_load(service.address, population.everyone_once(), plan, "get")
        split = pin([service.pids()["api"]])
        stack.callback(unpin, split.tested | split.others)
        progress.say(str(split))
        runs = []
        for live in (CAMPAIGNS, campaigns) * plan.rounds:
            database.set_status(MANY_PREFIX, "paused" if live == CAMPAIGNS else "live")
            runs.append(_run(plan, service, population, live))
            progress.say(str(runs[-1]))
        return runs


def _run(plan: Plan, service: Service, population: Population, live: int) -> Run:
    # The first GET of the warm-up loads the catalog: that is a price of the change, not of a GET.
    run_load(
        service.address,
        population.gets(),
        replace(plan, measure_seconds=plan.warm_up_seconds),
        "get",
        timed=True,
    )
    api = service.pids()["api"]
    before = cpu_seconds(api)
    load = run_load(service.address, population.gets(), plan, "get", timed=True)
    return Run(
        live=live,
        gets_per_second=len(load.latencies) / load.window_seconds,
        p50_ms=1000 * percentile(load.latencies, 50),
        p99_ms=1000 * percentile(load.latencies, 99),
        cpu_seconds=1000 * (cpu_seconds(api) - before) / load.answers,
    )


def _told(runs: list[Run]) -> str:
    few, most = runs[::2], runs[1::2]
    ratios = [there.gets_per_second / here.gets_per_second for here, there in zip(few, most, strict=True)]
    by_cpu = [here.cpu_seconds / there.cpu_seconds for here, there in zip(few, most, strict=True)]
    lines = [
        f"{one[0].live:6,} live: {statistics.median(run.gets_per_second for run in one):8,.0f} GET/s, "
        f"{1e3 * statistics.median(run.cpu_seconds for run in one):.0f} µs of CPU a GET"
        for one in (few, most)
    ]
    lines.append(
        f"ratio: median {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}), "
        f"by CPU {statistics.median(by_cpu):.3f}; the aim is {AIM}"
    )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.many", description=__doc__)
    parser.add_argument("--campaigns", type=int, default=MANY, help=f"live campaigns ({MANY})")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (5)")
    parser.add_argument("--quick", action="store_true", help="it works; its figures mean nothing")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
