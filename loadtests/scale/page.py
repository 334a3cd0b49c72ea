"""The parts of docs/scale.md that are made from measurements."""

from pathlib import Path

from loadtests import pages
from loadtests.machine import told
from loadtests.scale.points import Scale
from loadtests.scale.told import cpu, draw, merges, requests


def write(page: Path, what: str, scale: Scale) -> None:
    """`what` is the command's. The plot goes beside the page. Raises BenchError without the markers."""
    picture = page.with_name(f"{page.stem}-{what}.svg")
    begin = (
        f"<!-- from here on by python -m loadtests.scale {what} --write {page.parent.name}/{page.name} -->"
    )
    end = f"<!-- up to here: {what} -->"
    pages.fill(page, begin, end, generated(scale, picture.name))
    draw(scale, picture)


def generated(scale: Scale, picture: str) -> str:
    lines = [
        f"`{scale.machine['command']}`, {told(scale.machine)}",
        "",
        f"![CPU and rates by {scale.unit}]({picture})",
        "",
    ]
    lines += pages.table(requests(scale))
    lines += ["CPU in ms a request:", "", *pages.table(cpu(scale))]
    if any(point.merges for point in scale.points):
        lines += ["Merge:", "", *pages.table(merges(scale))]
    if scale.failure:
        lines += [f"Not measured: {scale.failure}", ""]
    return "\n".join(lines)
