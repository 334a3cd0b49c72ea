"""Where and with what it was measured."""

import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

_ROOT: Final = Path(__file__).parent.parent
_PACKAGES: Final = (
    "tayang",
    "aiohttp",
    "uvloop",
    "asyncpg",
    "pydantic",
    "pyjwt",
    "cryptography",
    "redis",
    "hiredis",
)
_COMMAND_SECONDS: Final = 10
_STEPS: Final = 20_000
_STEP_ROUNDS: Final = 20


def told(about: Mapping[str, Any], *, cores: str = "") -> str:
    """What `describe` found, as a sentence; `cores`: how they were used."""
    load = " / ".join(f"{value:.2f}" for value in about["load_before"])
    return (
        f"{about['date']}, commit {about['commit']}, {about['cores']} cores of {about['cpu']}"
        f"{f' ({cores})' if cores else ''}, {about['memory_gib']} GiB, {about['kernel']}, "
        f"PostgreSQL {about['postgresql']}, Python {about['python']}; load average before: {load}."
    )


def describe(
    postgresql: str, load_before: tuple[float, float, float], module: str = "loadtests.bench"
) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", module, *(_without_folder(each) for each in sys.argv[1:])]),
        "commit": commit(),
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": [round(load, 2) for load in load_before],
        "load_after": [round(load, 2) for load in os.getloadavg()],
        "python": f"{platform.python_version()} ({million_steps_per_second():.1f} million simple steps/s)",
        "postgresql": postgresql,
        "redis_server": _redis_server(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def million_steps_per_second() -> float:
    """How fast this interpreter is here: the same version built without profiles is a third slower."""
    seconds = min(_seconds_of_steps() for _ in range(_STEP_ROUNDS))
    return _STEPS / seconds / 1e6


def _seconds_of_steps() -> float:
    """A step: a call, an object, a look into a dict."""
    started = time.perf_counter()
    seen: dict[int, _Step] = {}
    for number in range(_STEPS):
        seen[number % 97] = _Step(number)
    return time.perf_counter() - started


class _Step:
    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def _without_folder(argument: str) -> str:
    """Where something lies on this machine concerns nobody."""
    return re.sub(r"(^|=)/.*/", r"\1", argument)


def commit() -> str:
    """The short hash, and whether the checkout differs from it; "unknown" outside of a checkout."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", ":!docs/benchmarks.*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}, with uncommitted changes" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments],
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=True,
    )
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _redis_server() -> str | None:
    """The version of the one in PATH, which the Redis baseline starts; None: there is none."""
    try:
        said = subprocess.run(
            ["redis-server", "--version"],
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return next((word.removeprefix("v=") for word in said.split() if word.startswith("v=")), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
