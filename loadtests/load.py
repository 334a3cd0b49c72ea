"""`python -m loadtests.load`: phones of a shop's app against a service of its own, and gates for that.

Starts the service in a temporary directory, lets Locust offer a rate, and reconciles what was acknowledged
with what is counted. Exit code 0: all gates passed; 1: it went wrong; 3: an acknowledged event is not counted
exactly once; 4: a cap was overshot; 5: errors; 6: less than 98 % of the rate, or much of it late: void
percentiles; 7: p99; 8: something grew (soak); 130: interrupted. Of several the first one.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from loadtests import machine
from loadtests.catalog import set_up_catalog
from loadtests.cores import pin, unpin
from loadtests.database import Database
from loadtests.locust.gates import Gate, exit_code, gates, grew
from loadtests.locust.options import options
from loadtests.locust.process import end, locust, result, wait
from loadtests.locust.reconcile import Account, Books
from loadtests.locust.stages import Stage, stages
from loadtests.locust.told import told
from loadtests.plan import FULL
from loadtests.progress import Progress
from loadtests.service import BenchError, Service
from loadtests.watch import Watch, growth

_REPORTS: Final = Path(__file__).parent / "reports"
_SAMPLES: Final = 60
_SAMPLE_MIN_SECONDS: Final = 2.0
_INTERRUPTED: Final = 130


def main() -> int:
    """The exit code of the module's first lines."""
    arguments = options(__doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop in order, as after Ctrl-C
    progress = Progress()
    try:
        report = _run(arguments, progress)
    except (BenchError, psycopg.Error, OSError, subprocess.SubprocessError) as error:
        progress.say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; everything was stopped")
        return _INTERRUPTED
    print(json.dumps(report) if arguments.json else told(report))
    return int(report["exit_code"])


def _run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    directory = _directory(arguments)
    # In the web UI whoever looks at it decides on the rate: only the books have gates.
    plan = [] if arguments.ui_port else stages(arguments.shape, arguments.rate, arguments.seconds)
    with ExitStack() as stack:
        with progress.step("tayang up"):
            service = stack.enter_context(Service(workers=arguments.workers))
        database = stack.enter_context(Database(service))
        with progress.step(f"50 live campaigns, counts of {arguments.counted_users:,} users"):
            campaigns = set_up_catalog(service, replace(FULL, users=arguments.counted_users))
            database.seed(0, arguments.counted_users, campaigns)
            database.tidy()
        books = Books(stack.enter_context(database.session()))
        if arguments.pin:
            split = pin(service.workers())
            stack.callback(unpin, split.tested | split.others)
            progress.say(str(split))
        seen = _load(arguments, service, plan, directory, progress)
        with progress.step("a final merge, and the books"):
            database.settle()
            account = books.close(directory)
        seen["machine"] = machine.describe(database.version(), seen.pop("load_before"), "loadtests.load")
        progress.say("stopping everything")
    found = [
        *gates(seen["stages"], account, p99_ms=arguments.p99_ms, late_ms=arguments.late_ms),
        *([grew(seen["growth"])] if arguments.shape == "soak" else []),
    ]
    return _report(arguments, directory, found, account, seen)


def _load(
    arguments: argparse.Namespace, service: Service, plan: list[Stage], directory: Path, progress: Progress
) -> dict[str, Any]:
    load_before = os.getloadavg()
    with (
        Watch(service) as watch,
        locust(
            service, plan, arguments.people, directory, seed=arguments.seed, ui_port=arguments.ui_port
        ) as process,
    ):
        if arguments.ui_port:
            _until_interrupted(process)
            end(process)
        else:
            wait(process, plan, _Watcher(arguments, watch, progress))
    return {
        **result(directory),
        "load_before": load_before,
        "samples": [asdict(sample) for sample in watch.samples],
        "growth": growth(watch.samples),
    }


class _Watcher:
    """Samples now and then. In the second half of a soak a report stays open."""

    def __init__(self, arguments: argparse.Namespace, watch: Watch, progress: Progress) -> None:
        self._soak = arguments.shape == "soak"
        self._open_report = self._soak and arguments.open_report
        self._seconds = arguments.seconds
        self._step = max(_SAMPLE_MIN_SECONDS, arguments.seconds / _SAMPLES)
        self._next = self._step
        self._watch = watch
        self._progress = progress

    def __call__(self, elapsed_seconds: float) -> None:
        if elapsed_seconds < self._next:
            return
        self._next += self._step
        if self._open_report and elapsed_seconds >= self._seconds / 2:
            self._watch.open_report()
        sample = self._watch.sample()
        if self._soak:
            self._progress.say(str(sample))


def _until_interrupted(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        return
    raise BenchError(f"Locust ended with exit code {process.returncode}; its error is above")


def _report(
    arguments: argparse.Namespace, directory: Path, found: list[Gate], account: Account, seen: dict[str, Any]
) -> dict[str, Any]:
    report = {
        "shape": arguments.shape,
        "p99_limit_ms": arguments.p99_ms,
        "late_limit_ms": arguments.late_ms,
        "exit_code": exit_code(found),
        "gates": [asdict(gate) for gate in found],
        "account": asdict(account),
        "directory": str(directory),
        **seen,
    }
    (directory / "report.json").write_text(json.dumps(report, indent=1))
    return report


def _directory(arguments: argparse.Namespace) -> Path:
    if arguments.directory is None:
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        arguments.directory = _REPORTS / f"{moment}-{'ui' if arguments.ui_port else arguments.shape}"
    arguments.directory.mkdir(parents=True, exist_ok=True)
    return Path(arguments.directory)


if __name__ == "__main__":
    sys.exit(main())
