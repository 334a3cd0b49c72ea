"""How far a run is: a bar on a terminal, some lines elsewhere."""

from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_LINES: Final = 20


class Display:
    """Use it as a context, and `add` what has been played."""

    def __init__(self, cases: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._cases = cases
        self._done = self._lines = 0
        self._bar = Progress(
            TextColumn("deciding"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=cases)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def add(self, cases: int) -> None:
        self._done += cases
        self._bar.update(self._task, completed=self._done)
        lines = self._done * _LINES // self._cases
        if lines > self._lines and not self._console.is_terminal:
            self._console.print(f"{self._done:,}/{self._cases:,} cases")
        self._lines = lines
