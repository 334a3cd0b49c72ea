"""The result on a terminal."""

import statistics
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.figures import AIMS, TITLES, HttpFigures, MergeFigures, Point, spread

#: Characters a line for a file or a pipe: no cell is broken.
_PLAIN_WIDTH: Final = 140


def show(http: HttpFigures | None, merge: MergeFigures | None) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH, color_system=None)
    for title, rows in sections(http, merge):
        table = Table(*rows[0], title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)


def sections(http: HttpFigures | None, merge: MergeFigures | None) -> list[tuple[str, list[list[str]]]]:
    """Tables as (title, rows); the first row holds the headings."""
    tables = []
    if http:
        tables += [
            ("Requests per second", requests(http)),
            ("Ratios, of the same round", ratios(http)),
            ("CPU seconds per 1,000 requests", cpu(http)),
        ]
        if http.points:
            tables.append(("Requests per second (p99 ms), by connections", curves(http.points)))
    if merge:
        tables.append((f"Merge, {merge.counted_rows:,} rows already counted", merges(merge)))
    return tables


def requests(http: HttpFigures) -> list[list[str]]:
    head = [
        "",
        "requests/s",
        "spread",
        "p50 ms",
        "p99 ms",
        "server busy",
        "others busy",
        "of bare",
        "of bare, by CPU",
        "WAL bytes",
    ]
    rows = [head]
    for target in http.targets:
        runs = http.of(target)
        rates = [run.requests_per_second for run in runs]
        rows.append(
            [
                TITLES[target],
                f"{statistics.median(rates):,.0f}",
                f"{spread(rates):.1%}",
                f"{statistics.median(run.p50_ms for run in runs):.2f}",
                f"{statistics.median(run.p99_ms for run in runs):.2f}",
                f"{statistics.median(run.server_busy for run in runs):.0%}",
                f"{statistics.median(run.others_busy for run in runs):.0%}",
                f"{statistics.median(http.ratios(target)):.3f}",
                f"{http.cpu_ratio(target):.3f}",
                _wal(http, target),
            ]
        )
    return rows


def cpu(http: HttpFigures) -> list[list[str]]:
    parts = ("bare", "api", "primary", "replica", "maintenance", "redis", "generator")
    rows = [["", *parts]]
    for target in http.targets:
        runs = http.of(target)
        seconds = [
            f"{statistics.median(run.cpu_seconds[part] for run in runs):.4f}"
            if part in runs[0].cpu_seconds
            else ""
            for part in parts
        ]
        rows.append([TITLES[target], *seconds])
    return rows


def merges(merge: MergeFigures) -> list[list[str]]:
    rows = [["users", "state", "merges", "users a merge", "rows/s", "spread", "WAL bytes/row", "spread"]]
    for series in merge.series:
        rates, wal = series.rows_per_second(), series.wal_bytes_per_row()
        rows.append(
            [
                series.users,
                series.state,
                str(len(series.runs)),
                f"{series.users_per_merge():,.0f}",
                f"{statistics.median(rates):,.0f}",
                f"{spread(rates):.1%}",
                f"{statistics.median(wal):,.0f}",
                f"{spread(wal):.1%}",
            ]
        )
    return rows


def ratios(http: HttpFigures) -> list[list[str]]:
    rows = [["", "median", "least", "most", "by CPU", "aim", ""]]
    for target, other in http.aims:
        found = http.ratios(target, other)
        rows.append(
            [
                f"{TITLES[target]} by {TITLES[other]}",
                f"{statistics.median(found):.3f}",
                f"{min(found):.3f}",
                f"{max(found):.3f}",
                f"{http.cpu_ratio(target, other):.3f}",
                f"≥ {AIMS[target, other]:.2f}",
                "reached" if http.reached(target, other) else "NOT reached",
            ]
        )
    return rows


def curves(points: Sequence[Point]) -> list[list[str]]:
    connections = sorted({point.connections for point in points})
    rows = [["", *(str(number) for number in connections)]]
    for target in dict.fromkeys(point.target for point in points):
        found = {point.connections: point for point in points if point.target == target}
        cells = [
            f"{found[number].requests_per_second:,.0f} ({found[number].p99_ms:.1f})" for number in connections
        ]
        rows.append([TITLES[target], *cells])
    return rows


def _wal(http: HttpFigures, target: str) -> str:
    found = [run.wal_bytes for run in http.of(target) if run.wal_bytes is not None]
    return f"{statistics.median(found):,.0f}" if found else ""


def text_table(title: str, rows: list[list[str]]) -> str:
    """One table as plain text; the first row holds the headings."""
    console = Console(width=_PLAIN_WIDTH, color_system=None)
    table = Table(*rows[0], title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    return captured.get()
