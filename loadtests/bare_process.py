"""The bare handler in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from select import select
from typing import Final

from loadtests.service import BenchError

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0

Address = tuple[str, int]


@dataclass(frozen=True)
class BareHandler:
    address: Address
    pid: int


@contextmanager
def bare_handler() -> Iterator[BareHandler]:
    with subprocess.Popen(
        [sys.executable, "-m", "loadtests.bare"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            if not select([process.stdout], [], [], _START_SECONDS)[0]:
                raise BenchError(f"the bare handler did not start within {_START_SECONDS:.0f} s")
            line = process.stdout.readline()
            if not line.strip().isdigit():
                raise BenchError("the bare handler did not start; its error is above")
            yield BareHandler(("127.0.0.1", int(line)), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
