"""The full disk that is none."""

import subprocess
import sys

import psutil  # type: ignore[import-untyped]
import pytest

from tests.adversity.chaos import disk


def test_a_backend_may_go_while_it_is_being_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the question whether it runs and the one whose it is."""
    with subprocess.Popen([sys.executable, "-c", ""]) as started:
        process = psutil.Process(started.pid)
    said = iter((True, False))
    monkeypatch.setattr(process, "is_running", lambda: next(said))
    disk._limit([process], "0")
