"""Which core works for whom, and how many seconds of it each process has used."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Split:
    """The server under test has `tested` for itself, the rest shares `others`; both empty: no split."""

    tested: frozenset[int]
    others: frozenset[int]

    def __str__(self) -> str:
        if not self.tested:
            return "not pinned: one core only, or the system doesn't allow it"
        others = ", ".join(str(core) for core in sorted(self.others))
        return (
            f"the server under test on core {min(self.tested)}; generator, PostgreSQL, maintenance and the "
            f"rest on core{'s' if len(self.others) > 1 else ''} {others}"
        )


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the machine's start: what there was, and what went to us and to other guests."""

    available: float
    idle: float
    stolen: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        times = psutil.cpu_times()
        children = psutil.Process().children()
        return cls(
            available=sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0),
            idle=times.idle + getattr(times, "iowait", 0.0),
            stolen=getattr(times, "steal", 0.0),
            ours=cpu_seconds(os.getpid()) + sum(cpu_seconds(child.pid) for child in children),
        )

    def foreign_share(self, earlier: Self) -> float:
        """Of the CPU time since `earlier`: used by other processes of this machine, 0 to 1."""
        used = (self.available - self.idle - self.stolen) - (
            earlier.available - earlier.idle - earlier.stolen
        )
        return max(0.0, used - (self.ours - earlier.ours)) / (self.available - earlier.available)

    def stolen_share(self, earlier: Self) -> float:
        """Of the CPU time since `earlier`: taken by other guests of the same host, 0 to 1."""
        return (self.stolen - earlier.stolen) / (self.available - earlier.available)


def pin(tested: Iterable[int]) -> Split:
    """Pin this process and all that it has started: the processes `tested` alone on the first core.

    What they start later inherits it. Returns an empty split where that is impossible.
    """
    if not hasattr(os, "sched_setaffinity") or len(cores := sorted(os.sched_getaffinity(0))) < 2:
        return Split(frozenset(), frozenset())
    split = Split(frozenset(cores[:1]), frozenset(cores[1:]))
    alone = set(tested)
    try:
        for pid in family(os.getpid()):
            _pin(pid, split.tested if pid in alone else split.others)
    except OSError:
        unpin(frozenset(cores))
        return Split(frozenset(), frozenset())
    return split


def unpin(cores: frozenset[int]) -> None:
    """Let this process and its descendants use `cores` again."""
    if not cores:
        return
    for pid in family(os.getpid()):
        with suppress(OSError):
            _pin(pid, cores)


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    with suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, ended ones included where they were awaited."""
    if pid == os.getpid():
        return time.process_time()
    seconds = 0.0
    for member in family(pid):
        with suppress(psutil.Error):
            times = psutil.Process(member).cpu_times()
            seconds += times.user + times.system
            seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return seconds


def _pin(pid: int, cores: frozenset[int]) -> None:
    # Affinity belongs to a thread; new threads and processes inherit it.
    tasks = Path(f"/proc/{pid}/task")
    for task in sorted(tasks.iterdir()) if tasks.is_dir() else ():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)
