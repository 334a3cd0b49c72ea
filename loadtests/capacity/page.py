"""The part of docs/capacity.md that is made from a measurement; around it people write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.capacity.fit import FITTED, FITTED_MERGES
from loadtests.capacity.model import Model
from loadtests.capacity.plan import Wanted, needs
from loadtests.capacity.points import Measured
from loadtests.capacity.predict import Comparison
from loadtests.capacity.told import (
    comparisons,
    first_limit,
    limits,
    parameters,
    rate,
    requirements,
    verdict,
)
from loadtests.machine import told
from loadtests.pages import fill, table

BEGIN: Final = "<!-- from here on by python -m loadtests.capacity predict --write docs/capacity.md -->"
END: Final = "<!-- up to here -->"
#: What the page is about. At the highest rate no worker could hear of all events.
PLANS: Final = (
    Wanted(tps=2_000.0),
    Wanted(tps=10_000.0),
    Wanted(tps=100_000.0, announcements=False),
)


def write(page: Path, measured: Measured, model: Model, found: Sequence[Comparison]) -> None:
    """Raises BenchError if the page has no markers."""
    fill(page, BEGIN, END, generated(measured, model, found))


def generated(measured: Measured, model: Model, found: Sequence[Comparison]) -> str:
    plans = [needs(model, wanted) for wanted in PLANS]
    lines = [
        "### Measured against predicted",
        "",
        _about(measured),
        "",
        _seen(found),
        "",
        *table(comparisons(found)),
        "### Parameters",
        "",
        *table(parameters(model)),
        "### What a rate needs",
        "",
        _taken(plans[0].wanted),
        "",
        *table(requirements(plans)),
        "### Where one primary ends",
        "",
        _servers(plans[0].wanted),
        "",
    ]
    for plan in plans[1:]:
        lines += [f"At {rate(plan.wanted.tps)}:", "", *table(limits(plan)), first_limit(plan), ""]
    return "\n".join(lines)


def _seen(found: Sequence[Comparison]) -> str:
    points = ", ".join(f"*{load.name}*" for load in FITTED)
    return (
        f"The fit has seen {points}, and of the merges *{FITTED_MERGES[0]}* and *{FITTED_MERGES[1]}*. "
        f"It has not seen these. {verdict(found)}"
    )


def _taken(wanted: Wanted) -> str:
    return (
        f"{wanted.get_share:.0%} GETs, one event a POST; cores at most {wanted.busy:.0%} busy; "
        f"{wanted.users:,} users with {wanted.campaigns_a_user:g} counted campaigns each; a day's mean rate "
        f"is {wanted.average_share:.0%} of the peak; {wanted.retention_days} days of log."
    )


def _servers(wanted: Wanted) -> str:
    return (
        f"Servers of {wanted.primary_cores} cores, used so that each is {wanted.busy:.0%} busy; a checkpoint "
        f"every {wanted.checkpoint_seconds:g} s; a disk for {wanted.wal_mb_per_second:g} MB/s of WAL and "
        f"{wanted.iops:,.0f} IOPS. Users come evenly, which touches the most pages."
    )


def _about(measured: Measured) -> str:
    pinned = "the worker of the points with one worker on a core of its own"
    return told(measured.machine, cores=pinned if measured.pinned else "not pinned")
