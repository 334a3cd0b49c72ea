"""Throughput against p99: a line for each system, a point for each number of connections."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.figures import Point

#: Panel title, and (label, colour) by target.
_PANELS: Final = (
    (
        "GET /v1/popups",
        {
            "get": ("Tayang", "#0b6e4f"),
            "old_design_get": ("old design, SQL", "#c8553d"),
            "redis_get": ("Redis", "#588b8b"),
            "bare_get": ("bare handler", "#999999"),
        },
    ),
    (
        "POST /v1/impressions",
        {
            "post": ("Tayang", "#0b6e4f"),
            "old_design_post": ("old design, SQL", "#c8553d"),
            "redis_post": ("Redis", "#588b8b"),
            "bare_post": ("bare handler", "#999999"),
        },
    ),
)


def draw(points: Sequence[Point], file: Path) -> None:
    """As SVG; the same points give the same file."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, 2, sharey=True), _PANELS, strict=True):
        for target, (label, colour) in lines.items():
            _line(axes, [point for point in points if point.target == target], label, colour)
        axes.set(title=title, xlabel="requests per second", yscale="log", xlim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("p99, ms")
    figure.suptitle("A point for each number of connections, from few (left) to many", fontsize=9)
    figure.savefig(file, format="svg", metadata={"Date": None})


def _line(axes: Axes, points: Sequence[Point], label: str, colour: str) -> None:
    if not points:
        return
    rates = [point.requests_per_second for point in points]
    axes.plot(rates, [point.p99_ms for point in points], marker="o", ms=3, color=colour, label=label)
    axes.annotate(str(points[-1].connections), (rates[-1], points[-1].p99_ms), fontsize=7, color=colour)
