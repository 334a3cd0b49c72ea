"""What may be asked of `python -m loadtests.capacity`."""

import argparse
from pathlib import Path
from typing import Final

from loadtests.capacity.plan import Wanted

#: What docs/capacity.md is written from.
FILE: Final = Path(__file__).parents[2] / "docs" / "capacity.json"


def options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.capacity", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    what = parser.add_subparsers(dest="what", required=True)
    _measure(what.add_parser("measure", help="unit costs on this machine, in about ten minutes"))
    predict = what.add_parser("predict", help="fit to some points, compare with the others")
    predict.add_argument("--write", type=Path, help="put the tables between the markers of this page")
    plan = what.add_parser("plan", help="what a rate needs, and where one primary ends")
    _plan(plan)
    for each in (predict, plan):
        each.add_argument("--file", type=Path, default=FILE, help="measured before (docs/capacity.json)")
        each.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args()


def _measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, default=FILE, help="where to write it (docs/capacity.json)")
    parser.add_argument("--workers", type=_whole, action="append", help="beside 1 and 2, again for more (4)")
    parser.add_argument("--rounds", type=_whole, default=3, help="rounds of each point (3)")
    parser.add_argument("--seconds", type=_number, default=3.0, help="of each measurement (3)")
    parser.add_argument("--quick", action="store_true", help="it works; its figures mean nothing")


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tps", type=_number, required=True, help="requests a second, at the peak")
    parser.add_argument("--get-share", type=_share, help=f"of them GETs ({Wanted.get_share})")
    parser.add_argument("--busy", type=_share, help=f"of a core, at most ({Wanted.busy})")
    parser.add_argument("--users", type=_whole, help=f"who have counts ({Wanted.users:,})")
    parser.add_argument(
        "--campaigns-a-user", type=_number, help=f"that are counted ({Wanted.campaigns_a_user:g})"
    )
    parser.add_argument("--retention-days", type=_whole, help=f"of the log ({Wanted.retention_days})")
    parser.add_argument(
        "--average-share", type=_share, help=f"the day's mean rate by its peak ({Wanted.average_share})"
    )
    parser.add_argument(
        "--checkpoint-seconds", type=_number, help=f"between two ({Wanted.checkpoint_seconds:g})"
    )
    parser.add_argument("--primary-cores", type=_whole, help=f"({Wanted.primary_cores})")
    parser.add_argument("--replica-cores", type=_whole, help=f"of each replica ({Wanted.replica_cores})")
    parser.add_argument(
        "--wal-mb-per-second", type=_number, help=f"that the disk takes ({Wanted.wal_mb_per_second:g})"
    )
    parser.add_argument("--iops", type=_number, help=f"of the primary's disk ({Wanted.iops:,.0f})")
    parser.add_argument(
        "--pending-max-rows", type=_whole, help=f"TAYANG_PENDING_MAX_ROWS ({Wanted.pending_max_rows:,})"
    )
    parser.add_argument(
        "--no-announcements",
        dest="announcements",
        action="store_false",
        help="as with TAYANG_PEER_ANNOUNCEMENTS=off",
    )
    parser.set_defaults(**{name: getattr(Wanted, name) for name in Wanted.names() if name != "tps"})


def _whole(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _number(text: str) -> float:
    number = float(text.replace("_", ""))
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError("must be above 0 and below 1")
    return number
