"""The long-running processes of the service, each an entry of its own: worker, backoffice, maintenance."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import uvloop

from tayang.garbage import collect_seldom
from tayang.settings import Settings

#: The read end of a pipe whose other end the supervisor holds: at end of file the supervisor is gone.
LIFELINE_VARIABLE: Final = "TAYANG_LIFELINE_FD"
#: A worker that gets it stops as on SIGTERM; but it stops accepting at once, since a successor does that.
HANDOVER_SIGNAL: Final = signal.SIGUSR1
READY: Final = b"1"


def run_worker(
    settings: Settings,
    listener: socket.socket,
    worker: int,
    runtime_dir: Path | None,
    ready_fd: int | None = None,
) -> None:
    """One api process on a socket that the supervisor has bound. READY goes to `ready_fd` when it serves."""
    # Here and below: a process imports what it runs, and the supervisor, which starts all of them, nothing.
    from api.app import create_app  # noqa: PLC0415
    from tayang.serving import serve  # noqa: PLC0415

    config = settings.api(worker, runtime_dir)
    _run(settings, lambda stop: serve(create_app(config), listener, stop, ready_fd))


def run_backoffice(settings: Settings, listener: socket.socket) -> None:
    from api.app import create_backoffice  # noqa: PLC0415
    from tayang.serving import serve  # noqa: PLC0415

    config = settings.api()
    _run(settings, lambda stop: serve(create_backoffice(config), listener, stop))


def run_maintenance(settings: Settings) -> None:
    from maintenance.loop import maintain  # noqa: PLC0415

    config = settings.maintenance()
    _run(settings, lambda stop: maintain(config, stop))


def set_up_logging(settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.getLogger("alembic").setLevel("WARNING")


def _run(settings: Settings, duty: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    set_up_logging(settings)
    collect_seldom()

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        lifeline = os.environ.get(LIFELINE_VARIABLE)
        if lifeline is not None:
            loop.add_reader(int(lifeline), stop.set)
        await duty(stop)

    uvloop.run(until_stopped())
