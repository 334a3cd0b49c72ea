"""The demo while it runs: a table and a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from tayang.demo.day import PLACEMENTS
from tayang.demo.ledger import Ledger

_DRAWN_SECONDS: Final = 0.25
_LINE_SECONDS: Final = 5.0
#: Below these widths, in columns, the table leaves out what is known from elsewhere.
_ALL_COLUMNS: Final = 80
_PLACEMENT_COLUMNS: Final = 60
_COOLING_COLUMNS: Final = 50
#: Lines of the screen that are not rows of the table.
_OTHER_LINES: Final = 8


class Display:
    """Draws at `update()` only: the ledger belongs to the event loop."""

    def __init__(self, console: Console, ledger: Ledger, seconds: int) -> None:
        self._console = console
        self._ledger = ledger
        self._seconds = seconds
        self._started = time.monotonic()
        self._line_at = -_LINE_SECONDS  # the first one at once
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), console=console, expand=True
        )
        self._task = self._bar.add_task("", total=seconds)
        self._live = Live(console=console, auto_refresh=False, screen=True)  # a resize leaves nothing behind

    @property
    def interval_seconds(self) -> float:
        return _DRAWN_SECONDS

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def update(self) -> None:
        now = time.monotonic()
        elapsed = min(now - self._started, self._seconds)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=elapsed, description=f"{elapsed:.0f} of {self._seconds} s")
            table = campaign_table(self._ledger, self._console.width, self._console.height - _OTHER_LINES)
            self._live.update(Group(table, _line(self._ledger), self._bar), refresh=True)
        elif now - self._line_at >= _LINE_SECONDS:
            self._line_at = now
            self._console.print(
                f"{elapsed:.0f} of {self._seconds} s: {_line(self._ledger)}", highlight=False, soft_wrap=True
            )


def campaign_table(ledger: Ledger, width: int, rows_max: int) -> Table:
    """For a screen `width` columns wide; at most `rows_max` campaigns, or one."""
    rows = ledger.listed(PLACEMENTS)
    shown = rows[: max(1, rows_max)]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("campaign", no_wrap=True, overflow="ellipsis", ratio=1)
    if width >= _PLACEMENT_COLUMNS:
        table.add_column("placement", no_wrap=True)
    if width >= _ALL_COLUMNS:
        table.add_column("caps", no_wrap=True, overflow="ellipsis")
    figures = ["served", "shown", "capped", *(["cooling"] if width >= _COOLING_COLUMNS else [])]
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for key, each in shown:
        cells = [key]
        cells += [each.placement] if width >= _PLACEMENT_COLUMNS else []
        cells += [each.caps_text] if width >= _ALL_COLUMNS else []
        counts = [each.served, each.shown, each.capped, each.cooling_down][: len(figures)]
        table.add_row(*cells, *(f"{count:,}" for count in counts))
    if len(shown) < len(rows):
        table.caption = f"and {len(rows) - len(shown)} more"
    return table


def _line(ledger: Ledger) -> str:
    return (
        f"{ledger.openings:,} openings, {ledger.total('served'):,} popups served, "
        f"{ledger.total('shown'):,} shown, {ledger.total('capped'):,} times capped, "
        f"{ledger.errors.total():,} errors"
    )
