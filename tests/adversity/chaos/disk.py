"""A full disk without a disk to fill: the server may not write files beyond a size (RLIMIT_FSIZE).

PostgreSQL meets EFBIG where a full disk gives ENOSPC, at the same calls and with the same
consequences. Unlike a small file system this needs no root, and it hits one server alone. (Root needs
more: to limit an account's processes it becomes that account, since it may lack CAP_SYS_RESOURCE.)
"""

import os
import subprocess
import time
from contextlib import suppress
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import psycopg

from tayang.embedded import Node
from tayang.embedded.processes import wait_until, working_in

_LOOK_SECONDS: Final = 0.02
_GIVES_UP_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 10.0
_COMMAND_SECONDS: Final = 5.0
_NO_ROOM: Final = "0"
_ROOM: Final = "unlimited"


def fill(node: Node) -> None:
    """No file of the server can be written. Returns when it has given up, or no longer answers."""
    _limit(working_in(node.directory), _NO_ROOM)
    gave_up = wait_until(lambda: not _answers(node), _GIVES_UP_SECONDS)
    assert gave_up, "the server still writes, though its files can't grow"


def make_room(node: Node) -> None:
    """Room again, and a server that takes connections: one that has given up is started."""
    for _ in range(2):  # a child that was forked meanwhile has what its parent had
        _limit(working_in(node.directory), _ROOM)
    wait_until(lambda: not node.running() or _answers(node), _SETTLED_SECONDS)
    node.start()


def fill_for(node: Node, application: str, seconds: float) -> int:
    """No room for what these connections write, new ones too, for so long and until one has failed.

    Returns how many there were. One that met no room is closed by its client, which opens another.
    """
    limited: dict[int, psutil.Process] = {}
    first = 0
    started = time.monotonic()
    with node.connect("postgres") as connection:
        while time.monotonic() < started + seconds or len(limited) == first:
            assert time.monotonic() < started + seconds + _GIVES_UP_SECONDS, "no connection met the limit"
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s", (application,)
            ).fetchall()
            fresh = [psutil.Process(pid) for (pid,) in rows if pid not in limited and psutil.pid_exists(pid)]
            _limit(fresh, _NO_ROOM)
            limited |= {process.pid: process for process in fresh}
            first = first or len(limited)
            time.sleep(_LOOK_SECONDS)
    _limit(list(limited.values()), _ROOM)
    return len(limited)


def _limit(processes: list[Any], size: str) -> None:
    """The soft limit only: it may be raised again by whoever runs the server. Who has gone needs none."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            _limit_one(process, size)


def _limit_one(process: Any, size: str) -> None:
    if not process.is_running():
        return
    root = os.geteuid() == 0
    done = subprocess.run(
        ("prlimit", "--pid", str(process.pid), f"--fsize={size}:"),
        user=process.uids().real if root else None,
        group=process.gids().real if root else None,
        check=False,
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
    )
    assert done.returncode == 0 or not process.is_running(), done.stderr


def _answers(node: Node) -> bool:
    try:
        with node.connect("postgres") as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False
