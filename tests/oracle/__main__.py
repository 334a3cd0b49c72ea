"""`python -m tests.oracle`: random cases, decided by the engine and by the oracle.

Exit codes: 0 they agree; 1 they disagree, and the smallest such case is printed, or something that ought to
be tried hardly was; 2 wrong arguments; 130 stopped by Ctrl-C.
"""

import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from tests.oracle.cases import random_case
from tests.oracle.compare import disagreements
from tests.oracle.coverage import rare, table, uses
from tests.oracle.progress import Display
from tests.oracle.run import Played, run
from tests.oracle.shrink import shrunk, written

_STOPPED: Final = 130
#: With fewer cases a share says little.
_COVERAGE_MIN_CASES: Final = 2_000


def main(
    *,
    cases: Annotated[int, typer.Option(min=1, max=100_000_000)] = 20_000,
    seed: Annotated[int, typer.Option(help="decides all cases")] = 1,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="processes")] = 1,
    case: Annotated[int | None, typer.Option(min=0, help="only this one of the seed's")] = None,
) -> None:
    """Have the oracle and the engine decide the same random cases."""
    if case is not None:
        raise SystemExit(1 if _print_disagreement(seed, case) else 0)
    try:
        played = _played(seed=seed, cases=cases, jobs=jobs)
    except KeyboardInterrupt:
        raise SystemExit(_STOPPED) from None
    raise SystemExit(_verdict(played, seed))


def _played(*, seed: int, cases: int, jobs: int) -> Played:
    with Display(cases) as display:
        return run(seed=seed, cases=cases, jobs=jobs, progress=display.add)


def _verdict(played: Played, seed: int) -> int:
    if played.failed is not None:
        print(f"case {played.failed} of seed {seed}:")  # noqa: T201
        _print_disagreement(seed, played.failed)
        return 1
    console = Console(highlight=False, soft_wrap=True)
    console.print(table(played.coverage), uses(played.coverage), sep="\n")
    decided = f"{played.coverage['decisions']:,} decisions about {played.coverage['campaigns']:,} campaigns"
    console.print(f"{played.cases:,} cases of seed {seed}, {decided}: oracle and engine agree")
    missing = rare(played.coverage) if played.cases >= _COVERAGE_MIN_CASES else []
    if missing:
        print(f"tried too seldom: {', '.join(missing)}", file=sys.stderr)  # noqa: T201
    return 1 if missing else 0


def _print_disagreement(seed: int, number: int) -> bool:
    """Made as small as can be."""
    found = random_case(seed, number)
    if not disagreements(found):
        print(f"case {number} of seed {seed}: they agree")  # noqa: T201
        return False
    small = shrunk(found, lambda case: bool(disagreements(case)))
    print("\n".join([*disagreements(small), written(small)]))  # noqa: T201
    return True


if __name__ == "__main__":
    typer.run(main)
