"""`python -m loadtests.scale data|workers`: the cost of a request by counted rows, or by api workers.

`data` grows one database from size to size and measures GET, POST and merge at each. `workers` measures 1, 2
and 4 api workers with the same data, in turns. The bare handler is measured beside them: it should cost the
same everywhere, and so shows what is the machine's doing. Exit code 0: measured; 1: it went wrong, and what
was measured before that is told; 130: interrupted.
"""

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg

from loadtests.generator import LoadError
from loadtests.plan import FULL
from loadtests.progress import Progress
from loadtests.scale.data import measure_data
from loadtests.scale.page import write
from loadtests.scale.points import Scale
from loadtests.scale.told import told
from loadtests.scale.workers import measure_workers
from loadtests.service import BenchError

_SIZES: Final = (100_000, 1_000_000, 10_000_000)
_WORKERS: Final = (1, 2, 4)
_INTERRUPTED: Final = 130


def main() -> int:
    """The exit code of the module's first lines."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop in order, as after Ctrl-C
    progress = Progress()
    try:
        scale = _measure(arguments, progress)
    except (BenchError, LoadError, psycopg.Error, OSError) as error:
        progress.say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; everything was stopped")
        return _INTERRUPTED
    print(json.dumps(scale.as_dict()) if arguments.json else told(scale))
    if arguments.write is not None:
        write(arguments.write, arguments.what, scale)
        progress.say(f"written: {arguments.write}")
    if scale.failure:
        progress.say(f"failed: {scale.failure}")
    return 1 if scale.failure else 0


def _measure(arguments: argparse.Namespace, progress: Progress) -> Scale:
    if arguments.what == "data":
        sizes = sorted(set(arguments.rows or _SIZES))
        plan = replace(
            FULL, rounds=arguments.rounds, measure_seconds=arguments.seconds, merges=arguments.merges
        )
        return measure_data(sizes, plan, progress, shared_buffers_mib=arguments.shared_buffers_mib)
    counts = sorted(set(arguments.workers or _WORKERS))
    plan = replace(
        FULL,
        users=arguments.users,
        connections=arguments.connections,
        measure_seconds=arguments.seconds,
    )
    return measure_workers(counts, arguments.rounds, plan, progress)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.scale", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    data = what.add_parser("data", help="0.1, 1 and 10 million counted rows")
    data.add_argument(
        "--rows", type=_whole, action="append", help="a size, again for another one; 10 rows a user"
    )
    data.add_argument("--merges", type=_whole, default=5, help="merges of each kind at each size (5)")
    data.add_argument(
        "--shared-buffers-mib", type=_whole, default=4096, help="of each server; a sixth of 24 GiB (4096)"
    )
    workers = what.add_parser("workers", help="1, 2 and 4 api workers")
    workers.add_argument("--workers", type=_whole, action="append", help="a number, again for another one")
    workers.add_argument("--users", type=_whole, default=20_000, help="with ten counted rows each (20,000)")
    workers.add_argument("--connections", type=_whole, default=64, help="to each worker (64)")
    for each in (data, workers):
        each.add_argument("--rounds", type=_whole, default=3, help="rounds of each (3)")
        each.add_argument("--seconds", type=float, default=4.0, help="of each measurement (4)")
        each.add_argument("--json", action="store_true", help="print the result as JSON")
        each.add_argument("--write", type=_page, help="fill in a page, as docs/scale.md, and plot beside it")
    return parser.parse_args()


def _page(text: str) -> Path:
    page = Path(text)
    if not page.is_file():  # rather now than when all is measured
        raise argparse.ArgumentTypeError(f"{page} is no file")
    return page


def _whole(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
