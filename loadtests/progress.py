"""Progress on standard error: a live line on a terminal, plain lines otherwise. Results go elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Progress:
    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        self._console.print(
            f"{time.monotonic() - self._started:6.1f} s  {text}", markup=False, soft_wrap=True
        )

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Something that takes a while: a spinner beside it on a terminal."""
        if not self._console.is_terminal:
            self.say(text)
            yield
            return
        started = time.monotonic()
        with self._console.status(text):
            yield
        self.say(f"{text}  ({time.monotonic() - started:.1f} s)")
