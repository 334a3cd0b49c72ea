"""The clock that the service's handlers read."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class StubbedClock:
    """Stands for the module `time`: set `now`; all that measures durations goes on as it is."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def time_ns(self) -> int:
        return (self.now - _EPOCH) // timedelta(microseconds=1) * 1000

    def time(self) -> float:
        return self.time_ns() / 1e9

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextmanager
def stubbed_clock() -> Iterator[StubbedClock]:
    """In all of `api.http`. What is read elsewhere (connections, merges) keeps the real time."""
    clock = StubbedClock()
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("api.http.") and getattr(module, "time", None) is time
    ]
    assert modules, "api.http is loaded"
    for module in modules:
        module.__dict__["time"] = clock
    try:
        yield clock
    finally:
        for module in modules:
            module.__dict__["time"] = time
