"""What the cases have exercised, and whether it is enough to believe an agreement."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tests.oracle.vocabulary import OPERATORS, WINDOWS

#: In the order of evaluation.
CODES: Final = (
    "not_live",
    "other_placement",
    "targeting",
    "not_started",
    "ended",
    "outside_schedule",
    "not_listed",
    "stopped",
    "capped",
    "no_session",
    "cooling_down",
    "out_of_budget",
    "paced",
    "policy_capped",
    "policy_gap",
    "tag_capped",
    "tag_gap",
    "held_out",
    "globally_held_out",
    "outranked",
)
#: Shares of all campaigns that were decided about, in percent. Half of what the rarest has.
_FIRST_MIN_PERCENT: Final = 0.3
_ANY_MIN_PERCENT: Final = 1.0
_USED_MIN_PERCENT: Final = 0.2


def rare(coverage: Counter[str]) -> list[str]:
    """What has occurred too seldom."""
    return [name for name, minimum in _wanted() if _percent(coverage, name) < minimum]


def table(coverage: Counter[str]) -> Table:
    found = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    found.add_column("code", no_wrap=True)
    for title in ("first, %", "at all, %"):
        found.add_column(title, justify="right", no_wrap=True)
    for code in (*CODES, "shown"):
        shares = [_percent(coverage, f"{how} {code}") for how in ("first", "any")]
        found.add_row(code, *(f"{share:.2f}" if share else "" for share in shares))
    return found


def uses(coverage: Counter[str]) -> str:
    """Windows and operators, in percent of the campaigns that have them."""
    names = [name for name, _ in _wanted() if not name.startswith(("first", "any"))]
    return ", ".join(f"{name} {_percent(coverage, name):.1f} %" for name in names)


def _wanted() -> Iterator[tuple[str, float]]:
    for code in CODES:
        yield f"first {code}", _FIRST_MIN_PERCENT
        yield f"any {code}", _ANY_MIN_PERCENT
    yield "first shown", _ANY_MIN_PERCENT
    for window in WINDOWS:
        yield f"window {window}", _USED_MIN_PERCENT
        yield f"policy window {window}", _USED_MIN_PERCENT
    for name in (*OPERATORS, "all", "any", "not"):
        yield f"op {name}", _USED_MIN_PERCENT


def _percent(coverage: Counter[str], name: str) -> float:
    return 100 * coverage[name] / max(1, coverage["campaigns"])
