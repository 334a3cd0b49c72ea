"""The command line of `python -m loadtests.load`."""

import argparse
from pathlib import Path
from typing import Final

from loadtests.locust.stages import RATES, SECONDS, SHAPES, USER_REQUESTS_PER_SECOND

#: Issue 6, for a steady load.
P99_MS: Final = 20.0
#: A connection that is late by less still sends one request in each of its intervals: none is left out.
LATE_MS: Final = 1000 / USER_REQUESTS_PER_SECOND
_PEOPLE: Final = 1_000_000
_COUNTED_USERS: Final = 20_000
_SEED: Final = 7


def options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.load", description=description)
    parser.add_argument("--shape", choices=SHAPES, default="steady", help="what rate when (steady)")
    parser.add_argument(
        "--rate",
        type=_positive,
        help=f"requests/s; of a ramp the last step, of a spike before and after it ({_listed(RATES)})",
    )
    parser.add_argument("--seconds", type=_positive, help=f"of all stages together ({_listed(SECONDS)})")
    parser.add_argument("--p99-ms", type=_positive, default=P99_MS, help=f"the latency gate ({P99_MS:g})")
    parser.add_argument(
        "--late-ms",
        type=_positive,
        default=LATE_MS,
        help=f"the percentiles are void if over 1 %% were sent later than so long after they were due "
        f"({LATE_MS:g})",
    )
    parser.add_argument("--people", type=_whole, default=_PEOPLE, help=f"users of the app ({_PEOPLE:,})")
    parser.add_argument(
        "--counted-users",
        type=_whole,
        default=_COUNTED_USERS,
        help=f"users that have ten counted campaigns before it begins ({_COUNTED_USERS:,})",
    )
    parser.add_argument("--workers", type=_whole, default=1, help="api workers (1)")
    parser.add_argument(
        "--pin", action="store_true", help="api workers on the first core, the rest elsewhere"
    )
    parser.add_argument(
        "--no-open-report",
        dest="open_report",
        action="store_false",
        help="soak: no REPEATABLE READ report stays open on primary and replica in the second half",
    )
    parser.add_argument("--ui-port", type=int, default=0, help="serve Locust's web UI instead of a shape")
    parser.add_argument("--directory", type=Path, help="of the reports (a new one in loadtests/reports)")
    parser.add_argument("--seed", type=int, default=_SEED, help=f"of who visits ({_SEED})")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    arguments = parser.parse_args()
    arguments.rate = arguments.rate or RATES[arguments.shape]
    arguments.seconds = arguments.seconds or SECONDS[arguments.shape]
    return arguments


def _listed(defaults: dict[str, float]) -> str:
    return ", ".join(f"{shape} {value:g}" for shape, value in defaults.items())


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
