"""Processes of one server, found by the data directory that they work in.

A postmaster puts each of its children into a session of its own, so signalling its process group reaches none
of them; and after a crash the children may be there without it. The working directory tells them all.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

PROGRAM_NAMES = frozenset({"postgres", "initdb", "pg_basebackup"})
POLL_SECONDS = 0.02
FAST_STOP_SECONDS = 20.0
IMMEDIATE_STOP_SECONDS = 5.0
KILL_SECONDS = 10.0
SUSPEND_SECONDS = 5.0


def wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Poll `condition` until it holds (True) or the time is over (False)."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def run_bounded(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
    ids: dict[str, Any],
) -> tuple[int, str]:
    """Run a program in its own session: (exit code, output). A timeout or an interrupt ends all of it."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **ids,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output


def working_in(directory: Path) -> list[psutil.Process]:
    """The PostgreSQL processes whose working directory is `directory`, postmasters first."""
    found = [process for process in psutil.process_iter(["name"]) if _works_in(process, directory)]
    pids = {process.pid for process in found}
    return sorted(found, key=lambda process: _parent_pid(process) in pids)


def end(directory: Path, first: signal.Signals = signal.SIGINT) -> None:
    """Shut down the server in `directory`: by `first`, then SIGQUIT, then SIGKILL; each wait is bounded."""
    processes = working_in(directory)
    _signal(processes, signal.SIGCONT)  # a suspended server would not hear the rest
    for number, seconds in ((first, FAST_STOP_SECONDS), (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS)):
        _signal(_postmasters(processes), number)
        if wait_until(lambda: not _alive(processes), seconds):
            return
    kill(directory)


def kill(directory: Path) -> None:
    """SIGKILL the server in `directory` and all of its children: none can react to another's death."""
    suspend(directory)
    processes = working_in(directory)
    _signal(processes, signal.SIGKILL)
    wait_until(lambda: not _alive(processes), KILL_SECONDS)


def suspend(directory: Path) -> None:
    """SIGSTOP the postmaster, then, when it can't fork any more, all of its children."""
    for choose in (_postmasters, list):
        processes = choose(working_in(directory))
        _signal(processes, signal.SIGSTOP)
        wait_until(partial(_all_stopped, processes), SUSPEND_SECONDS)


def resume(directory: Path) -> None:
    """SIGCONT the children, then the postmaster."""
    _signal(reversed(working_in(directory)), signal.SIGCONT)


def works_in(pid: int, directory: Path) -> bool:
    """Is `pid` a PostgreSQL process that works in `directory`, and not another one that got its number?"""
    try:
        return _works_in(psutil.Process(pid), directory)
    except psutil.Error:
        return False


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return process.name() in PROGRAM_NAMES and process.cwd() == str(directory) and bool(_alive([process]))
    except psutil.Error:
        return False


def _parent_pid(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0


def _postmasters(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    listed = list(processes)
    pids = {process.pid for process in listed}
    return [process for process in listed if _parent_pid(process) not in pids]


def _alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [
        process for process in processes if _status(process) not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    ]


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status()) if process.is_running() else str(psutil.STATUS_DEAD)
    except psutil.Error:
        return str(psutil.STATUS_DEAD)


def _all_stopped(processes: Iterable[psutil.Process]) -> bool:
    return all(_status(process) == psutil.STATUS_STOPPED for process in _alive(processes))


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
