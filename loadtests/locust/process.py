"""Locust in a process of its own: gevent patches the standard library of the one it runs in."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from loadtests.locust.stages import Stage
from loadtests.service import BenchError, Service

_ORDER: Final = "order.json"
RESULT: Final = "locust.json"
_POLL_SECONDS: Final = 0.2
_END_SECONDS: Final = 90.0  # after the last stage


@contextmanager
def locust(
    service: Service, stages: Sequence[Stage], people: int, directory: Path, *, seed: int, ui_port: int = 0
) -> Iterator["subprocess.Popen[bytes]"]:
    """It writes its ledger, its result and an HTML report into `directory`. Ended with the block."""
    order = {
        "stages": [asdict(stage) for stage in stages],
        "host": "http://{}:{}".format(*service.address),
        "secret": service.user_secret,
        "people": people,
        "seed": seed,
        "ui_port": ui_port,
    }
    file = directory / _ORDER
    file.touch(mode=0o600)  # the secret is of no use after the run, and it goes at its end
    file.write_text(json.dumps(order))
    command = [sys.executable, "-m", "loadtests.locust", str(file)]
    # A session of its own: a terminal's Ctrl-C is for us; we stop it in order.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
        finally:
            file.unlink(missing_ok=True)
            if process.poll() is None:
                process.kill()


def wait(process: "subprocess.Popen[bytes]", stages: Sequence[Stage], each: Callable[[float], None]) -> None:
    """Until it ends; calls `each` with the seconds since the start, several times a second."""
    started = time.monotonic()
    limit = sum(stage.seconds for stage in stages) + _END_SECONDS
    while process.poll() is None:
        elapsed = time.monotonic() - started
        if elapsed > limit:
            raise BenchError(f"Locust has not ended after {limit:.0f} s")
        each(elapsed)
        time.sleep(_POLL_SECONDS)
    if process.returncode:
        raise BenchError(f"Locust ended with exit code {process.returncode}; its error is above")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the web UI's process to end in order, its visits included."""
    process.send_signal(signal.SIGTERM)
    process.wait(_END_SECONDS)


def result(directory: Path) -> dict[str, Any]:
    """What it measured: `Record.as_dict`, and the `cpu_seconds` of Locust's process."""
    return dict(json.loads((directory / RESULT).read_text()))
