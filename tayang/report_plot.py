"""A report on a terminal: bars by day, by frequency and by reason, and a table of variants."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Final

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.admin.reports.figures import Figures, total
from api.admin.reports.lift import NO_HOLDOUT, NOT_COMPARABLE, TOO_FEW, Lift
from api.admin.reports.report import Report
from buffer.contract import RECENT_MAX_TIMES

#: More than these are drawn as weeks: a screen has about so many lines.
_MAX_DAYS: Final = 45
_BAR_CELLS: Final = 40
_UNKNOWN: Final = "-"
_PROBLEMS: Final = {
    NO_HOLDOUT: "nobody is held out, so there is nothing to compare with",
    NOT_COMPARABLE: "users had seen it before there was a holdout: the groups can't be compared",
    TOO_FEW: "too few conversions to compare (or too few users without one): wait",
}

Line = tuple[str, int, str]


def plot(report: Report, console: Console) -> None:
    _head(report, console)
    _bars(console, "Impressions", _by_day(report))
    _bars(console, "Users who have ever seen it so many times", _by_times(report))
    _variants(report, console)
    _lift(report.lift(), console)
    _bars(console, "Requests that were not shown it", [(*each, "") for each in report.no_shows.items()])


def _head(report: Report, console: Console) -> None:
    campaign, all_ = report.campaign, report.total
    console.print(Text(f"{campaign['name']} ({campaign['key']})", style="bold"))
    console.print(
        f"{report.first} to {report.last}, {campaign['timezone']}; "
        f"counted until {report.as_of:%Y-%m-%d %H:%M:%S} UTC",
        markup=False,
    )
    console.print(
        f"{all_.impressions:,} impressions ({all_.late_impressions:,} late), {all_.clicks:,} clicks, "
        f"{all_.dismissals:,} dismissals, {all_.conversions:,} conversions, CTR {_percent(all_.ctr)}"
    )
    console.print(f"{report.reach:,} users have ever seen it, {all_.new_users:,} of them first in these days")


def _by_day(report: Report) -> Sequence[Line]:
    days = {day: total(variants.values()) for day, variants in report.by_day.items()}
    if len(days) <= _MAX_DAYS:
        return [_day(f"{day:%a %Y-%m-%d}", figures) for day, figures in days.items()]
    weeks = groupby(days, key=_monday)
    return [_day(f"week of {monday}", total(days[day] for day in in_week)) for monday, in_week in weeks]


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _day(name: str, figures: Figures) -> Line:
    return name, figures.impressions, f"CTR {_percent(figures.ctr)}"


def _by_times(report: Report) -> Sequence[Line]:
    return [
        (f"{times}+" if times == RECENT_MAX_TIMES else f"{times}", users, _percent(users / report.reach))
        for times, users in report.frequency.items()
    ]


def _bars(console: Console, title: str, lines: Sequence[Line]) -> None:
    if not lines:
        return
    table = Table(box=None, title=title, title_justify="left", title_style="bold", show_header=False)
    for justify in ("left", "right", "left", "right"):
        table.add_column(justify=justify)
    longest = max(1, *(number for _, number, _ in lines))
    for name, number, note in lines:
        bar = Bar(longest, 0, max(number, 0), width=_BAR_CELLS)
        table.add_row(Text(name), f"{number:,}", bar, note)
    console.print()
    console.print(table)


def _variants(report: Report, console: Console) -> None:
    names = ("variant", "shown", "clicks", "CTR", "dismissed", "converted", "new users", "lift")
    table = Table(*names, box=None, title="Variants", title_justify="left", title_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, each in report.by_variant.items():
        numbers = (each.clicks, _percent(each.ctr), each.dismissals, each.conversions, each.new_users)
        cells = [f"{cell:,}" if isinstance(cell, int) else cell for cell in (each.impressions, *numbers)]
        table.add_row(Text(name), *cells, _relative(report.lift(name)))
    console.print()
    console.print(table)


def _lift(lift: Lift, console: Console) -> None:
    console.print()
    console.print(Text("Lift", style="bold"))
    for name, group in (("shown", lift.shown), ("held out", lift.held_out)):
        rate = _percent(group.rate) if group.of else _UNKNOWN
        console.print(f"{name}: {group.part:,} of {group.of:,} users converted, {rate}")
    console.print(_relative(lift) if lift.problem is None else _PROBLEMS[lift.problem])


def _relative(lift: Lift) -> str:
    """Such as +25.0 % (+3.1 to +51.7)."""
    if lift.relative is None:
        return _UNKNOWN
    value, low, high = (100 * each for each in lift.relative.values())
    return f"{value:+.1f} % ({low:+.1f} to {high:+.1f})"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{100 * share:.2f} %"
