"""A baseline in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from select import select
from typing import Final

from loadtests.service import BenchError

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0

Address = tuple[str, int]


@dataclass(frozen=True)
class Baseline:
    """A server that answers."""

    address: Address
    pid: int


@contextmanager
def baseline(name: str, environment: Mapping[str, str] | None = None) -> Iterator[Baseline]:
    """`python -m loadtests.baselines.<name>`, with `environment` on top. Raises BenchError."""
    with subprocess.Popen(
        [sys.executable, "-m", f"loadtests.baselines.{name}"],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            if not select([process.stdout], [], [], _START_SECONDS)[0]:
                raise BenchError(f"the baseline {name!r} did not start within {_START_SECONDS:.0f} s")
            line = process.stdout.readline()
            if not line.strip().isdigit():
                raise BenchError(f"the baseline {name!r} did not start; its error is above")
            yield Baseline(("127.0.0.1", int(line)), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
