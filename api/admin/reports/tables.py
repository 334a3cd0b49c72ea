"""Parts of a report as CSV (RFC 4180)."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from api.admin.reports.figures import Figures
from api.admin.reports.lift import Lift
from api.admin.reports.report import Report

_FIGURES: Final = (*Figures._fields, "ctr")
_ESTIMATES: Final = tuple(
    f"{name}_{part}" for name in ("difference", "relative") for part in ("value", "low", "high")
)
_LIFT: Final = ("shown", "shown_converted", "held_out", "held_out_converted", "problem", *_ESTIMATES)

Row = Sequence[Any]


def written(report: Report, table: str) -> str:
    """One of TABLES, with a header line; what isn't known is empty."""
    header, rows_of = _TABLES[table]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(rows_of(report))
    return out.getvalue()


def _days(report: Report) -> Iterable[Row]:
    return ((each.day, each.variant, *_figures(each.figures)) for each in report.days)


def _variants(report: Report) -> Iterable[Row]:
    for name, figures in report.by_variant.items():
        yield (name, *_figures(figures), *_lift(report.lift(name)))
    # No variant can be called this: it is no key.
    yield ("(all)", *_figures(report.total), *_lift(report.lift()))


def _frequency(report: Report) -> Iterable[Row]:
    return report.frequency.items()


def _no_shows(report: Report) -> Iterable[Row]:
    return report.no_shows.items()


def _figures(figures: Figures) -> Row:
    return (*figures, figures.ctr)


def _lift(lift: Lift) -> Row:
    nothing = dict.fromkeys(("value", "low", "high"))
    estimates = [value for each in (lift.difference, lift.relative) for value in (each or nothing).values()]
    return (lift.shown.of, lift.shown.part, lift.held_out.of, lift.held_out.part, lift.problem, *estimates)


_TABLES: Final[dict[str, tuple[Row, Callable[[Report], Iterable[Row]]]]] = {
    "days": (("day", "variant", *_FIGURES), _days),
    "variants": (("variant", *_FIGURES, *_LIFT), _variants),
    "frequency": (("times", "users"), _frequency),
    "no_shows": (("reason", "requests"), _no_shows),
}
TABLES: Final = tuple(_TABLES)
