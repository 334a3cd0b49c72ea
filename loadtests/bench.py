"""`python -m loadtests.bench`: the figures of docs/benchmarks.md, from nothing, in one run.

It starts a service of its own in a temporary directory, measures, writes the report, and stops
everything, also after Ctrl-C. Progress goes to standard error, the result to standard output.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import psycopg
import redis

from loadtests import machine
from loadtests.baselines.redis_server import REMEDY, available
from loadtests.catalog import set_up_catalog
from loadtests.database import Database
from loadtests.figures import AIMS, HttpFigures, MergeFigures
from loadtests.generator import LoadError
from loadtests.http_part import measure_http
from loadtests.merge_part import measure_merge
from loadtests.picture import draw
from loadtests.plan import FULL, QUICK, Plan
from loadtests.progress import Progress
from loadtests.report import markdown
from loadtests.service import BenchError, Service
from loadtests.systems import BASELINES
from loadtests.tables import show

_REPORT: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_INTERRUPTED: Final = 130


def main() -> int:
    """0: measured; 1: it went wrong and there is no result; 130: interrupted. An aim missed is a result."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop in order, as after Ctrl-C
    progress = Progress()
    try:
        plan = _plan(arguments)
        about, http, merge = _measure(arguments, plan, progress)
    except (BenchError, LoadError) as error:
        progress.say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; everything was stopped")
        return _INTERRUPTED
    if arguments.json:
        print(json.dumps(_as_dict(plan, about, http, merge)))
    else:
        show(http, merge)
    if arguments.report is not None:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(markdown(plan, about, http, merge, arguments.report.stem))
        if http is not None and http.points:
            draw(http.points, arguments.report.with_suffix(".svg"))
        progress.say(f"written: {arguments.report}")
    return 0


def _measure(
    arguments: argparse.Namespace, plan: Plan, progress: Progress
) -> tuple[dict[str, Any], HttpFigures | None, MergeFigures | None]:
    baselines = [name for name in BASELINES if name not in arguments.without]
    if arguments.only != "merge" and "redis" in baselines and not available():
        raise BenchError(REMEDY)  # at once, and not after minutes
    load_before = os.getloadavg()
    http: HttpFigures | None = None
    merge: MergeFigures | None = None
    with ExitStack() as stack:
        with progress.step("tayang up"):
            service = stack.enter_context(Service())
        stack.enter_context(_told(service))
        database = stack.enter_context(Database(service))
        with progress.step("50 live campaigns"):
            campaigns = set_up_catalog(service, plan)
        if arguments.only != "merge":
            http = measure_http(plan, service, database, campaigns, progress, baselines=baselines)
        if arguments.only != "http":
            seeded = plan.users if http else 0
            merge = measure_merge(plan, service, database, campaigns, progress, seeded_users=seeded)
        about = machine.describe(database.version(), load_before)
        progress.say("measured; stopping everything")
    return about, http, merge


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = QUICK if arguments.quick else FULL
    return replace(
        plan,
        rounds=arguments.rounds or plan.rounds,
        measure_seconds=arguments.seconds or plan.measure_seconds,
        connections=arguments.connections or plan.connections,
        curve=() if arguments.no_curves else plan.curve,
    )


@contextmanager
def _told(service: Service) -> Iterator[None]:
    """A failure of the database or of a connection says what the service says about it."""
    try:
        yield
    except (psycopg.Error, redis.RedisError, OSError) as error:
        raise BenchError(f"{error}; the service's log: {service.last_words()}") from error


def _as_dict(
    plan: Plan, about: dict[str, Any], http: HttpFigures | None, merge: MergeFigures | None
) -> dict[str, Any]:
    return {
        "machine": about,
        "plan": asdict(plan),
        "http": asdict(http) if http else None,
        "aims": [{"target": target, "yardstick": other, "aim": AIMS[target, other],
                  "ratios": http.ratios(target, other), "reached": http.reached(target, other)}
                 for target, other in http.aims] if http else None,
        "merge": asdict(merge) if merge else None,
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a short smoke run: it works, its figures mean nothing"
    )
    parser.add_argument("--only", choices=("http", "merge"), help="one of the two parts")
    parser.add_argument("--rounds", type=_positive, help=f"rounds of the HTTP part ({FULL.rounds})")
    parser.add_argument(
        "--seconds", type=_seconds, help=f"measured in each turn of the HTTP part ({FULL.measure_seconds:g})"
    )
    parser.add_argument("--connections", type=_positive, help=f"of the rounds ({FULL.connections})")
    parser.add_argument(
        "--without", choices=BASELINES, action="append", default=[], help="leave out a baseline"
    )
    parser.add_argument("--no-curves", action="store_true", help="no throughput against p99")
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of tables")
    parser.add_argument(
        "--report",
        type=Path,
        help="where to write the report (docs/benchmarks.md for a full run, else nowhere)",
    )
    arguments = parser.parse_args()
    if arguments.report is None and not arguments.quick and arguments.only is None:
        arguments.report = _REPORT
    return arguments


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
