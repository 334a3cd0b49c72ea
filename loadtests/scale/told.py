"""Tables and a plot of the cost of a request."""

import statistics
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from loadtests.scale.points import AIM, TARGETS, Scale
from loadtests.tables import text_table

_TITLES: Final = {"bare": "bare handler", "get": "GET", "post": "POST, with its merge"}
_COLOURS: Final = {"bare": "#999999", "get": "#0b6e4f", "post": "#c8553d"}


def told(scale: Scale) -> str:
    parts = [text_table(f"By {scale.unit}", requests(scale)), text_table("CPU ms a request", cpu(scale))]
    if any(point.merges for point in scale.points):
        parts.append(text_table("Merge", merges(scale)))
        parts.append(f"The aim: at 10 million rows a request costs at most {AIM:g} times the first.")
    return "\n".join(parts)


def draw(scale: Scale, file: Path) -> None:
    """As SVG: CPU of all servers for a request, and requests per second."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    cost, rate = figure.subplots(1, 2)
    values = [point.value for point in scale.points]
    for target in TARGETS:
        look = {"marker": "o", "color": _COLOURS[target], "label": _TITLES[target]}
        cost.plot(values, [1000 * point.cpu(target) for point in scale.points], **look)
        rate.plot(values, [point.rate(target) for point in scale.points], **look)
    for axes, title in ((cost, "CPU of all servers, µs a request"), (rate, "requests per second")):
        axes.set(title=title, xlabel=scale.unit, ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        if scale.unit == "counted rows":
            axes.set_xscale("log")
        else:
            axes.set_xticks(values)
    figure.savefig(file, format="svg", metadata={"Date": None})


def requests(scale: Scale) -> list[list[str]]:
    rows = [
        [scale.unit, *(f"{_TITLES[t]} {what}" for t in TARGETS for what in ("/s", "p99 ms", "cost by first"))]
    ]
    for point in scale.points:
        cells = []
        for target in TARGETS:
            cells += [
                f"{point.rate(target):,.0f}",
                f"{point.p99_ms(target):.2f}",
                f"{scale.cost_ratio(target, point):.2f}",
            ]
        rows.append([f"{point.value:,}", *cells])
    return rows


def cpu(scale: Scale) -> list[list[str]]:
    parts = ("api", "primary", "replica", "maintenance")
    rows = [[scale.unit, "", *parts, "all servers"]]
    for point in scale.points:
        for target in TARGETS:
            cells = [f"{point.cpu(target, part):.3f}" if target != "bare" else "" for part in parts]
            rows.append([f"{point.value:,}", _TITLES[target], *cells, f"{point.cpu(target):.3f}"])
    return rows


def merges(scale: Scale) -> list[list[str]]:
    rows = [[scale.unit, "users", "state", "rows/s", "of the smallest", "WAL bytes/row"]]
    for point in scale.points:
        for first, series in zip(scale.points[0].merges, point.merges, strict=True):
            rate = statistics.median(series.rows_per_second())
            rows.append(
                [
                    f"{point.value:,}",
                    series.users,
                    series.state,
                    f"{rate:,.0f}",
                    f"{rate / statistics.median(first.rows_per_second()):.2f}",
                    f"{statistics.median(series.wal_bytes_per_row()):,.0f}",
                ]
            )
    return rows
