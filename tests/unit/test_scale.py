"""docs/scale.md is made by the commands that it names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.figures import HttpRun
from loadtests.scale.page import generated, write
from loadtests.scale.points import TARGETS, Scale, ScalePoint
from loadtests.service import BenchError

DOCS = Path(__file__).parents[2] / "docs"
MACHINE: dict[str, Any] = {
    "command": "python -m loadtests.scale data --rows 1000",
    "date": "2026-01-02 03:04 UTC",
    "commit": "abc",
    "cores": 2,
    "cpu": "a CPU",
    "memory_gib": 24,
    "kernel": "Linux",
    "postgresql": "18.6",
    "python": "3.11.2",
    "load_before": [0.5, 0.25, 0.125],
}


def run(target: str, microseconds: float) -> HttpRun:
    return HttpRun(
        target=target,
        round=1,
        requests_per_second=1_000_000 / microseconds,
        p50_ms=1.0,
        p99_ms=2.0,
        requests=1000,
        server_busy=0.9,
        others_busy=0.5,
        cpu_seconds={"api": microseconds / 1000, "generator": 7.0},
        wal_bytes=None,
    )


def point(rows: int, microseconds: float) -> ScalePoint:
    return ScalePoint(value=rows, runs=tuple(run(target, microseconds) for target in TARGETS))


SCALE = Scale(unit="counted rows", points=[point(1000, 100.0), point(10_000, 125.0)], machine=MACHINE)


def test_a_page_is_filled_in_and_what_people_wrote_stays(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "scale.md"
    page.parent.mkdir()
    page.write_text((DOCS / "scale.md").read_text())
    write(page, "data", SCALE)
    once = page.read_text()
    write(page, "data", SCALE)

    assert page.read_text() == once, "writing again replaces"
    assert once.startswith((DOCS / "scale.md").read_text().partition("<!--")[0])
    assert "2026-01-02 03:04 UTC, commit abc, 2 cores of a CPU, 24 GiB" in once
    assert "| 10,000 | 8,000 | 2.00 | 1.25 | 8,000 | 2.00 | 1.25 | 8,000 | 2.00 | 1.25 |" in once
    assert "](scale-data.svg)" in once
    assert (page.parent / "scale-data.svg").read_text().startswith("<?xml")


def test_what_was_measured_before_a_failure_is_kept_and_the_failure_told() -> None:
    failed = replace(SCALE, failure="50,000,000 rows: the disk is full")
    assert "| 10,000 | 8,000 |" in generated(failed, "scale-data.svg")
    assert "Not measured: 50,000,000 rows: the disk is full" in generated(failed, "scale-data.svg")
    assert "Not measured" not in generated(SCALE, "scale-data.svg")


def test_a_page_without_markers_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text("nothing")
    with pytest.raises(BenchError, match="put them where the tables should stand"):
        write(page, "data", SCALE)
    assert page.read_text() == "nothing"
