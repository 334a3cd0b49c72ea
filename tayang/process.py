"""The long-running processes of the service, each an entry of its own: worker, backoffice, maintenance."""

import asyncio
import logging
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import uvloop
from aiohttp import web

from api.app import create_app, create_backoffice
from api.http.delivery import DELIVERY
from api.http.health import readiness
from api.http.server import HttpServer
from api.keys import CONFIG
from maintenance.loop import maintain
from tayang.garbage import collect_seldom
from tayang.settings import Settings

#: The read end of a pipe whose other end the supervisor holds: at end of file the supervisor is gone.
LIFELINE_VARIABLE: Final = "TAYANG_LIFELINE_FD"
#: A worker that gets it stops as on SIGTERM; but it stops accepting at once, since a successor does that.
HANDOVER_SIGNAL: Final = signal.SIGUSR1
READY: Final = b"1"
#: A worker whose databases are away starts all the same, and says so in /readyz. A successor waits.
_WARM_UP_MAX_SECONDS: Final = 2.0
_WARM_UP_POLL_SECONDS: Final = 0.01
#: Besides those of clients, lingering ones included: databases, listener, logs, the event loop's.
_OTHER_FILES: Final = 100

log = logging.getLogger("tayang.process")


def run_worker(
    settings: Settings,
    listener: socket.socket,
    worker: int,
    runtime_dir: Path | None,
    ready_fd: int | None = None,
) -> None:
    """One api process on a socket that the supervisor has bound. READY goes to `ready_fd` when it serves."""
    config = settings.api(worker, runtime_dir)
    _run(settings, lambda stop: _serve(create_app(config), listener, stop, ready_fd))


def run_backoffice(settings: Settings, listener: socket.socket) -> None:
    config = settings.api()
    _run(settings, lambda stop: _serve(create_backoffice(config), listener, stop))


def run_maintenance(settings: Settings) -> None:
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


async def _serve(
    app: web.Application, listener: socket.socket, stop: asyncio.Event, ready_fd: int | None = None
) -> None:
    handed_over = asyncio.Event()

    def hand_over() -> None:
        handed_over.set()
        stop.set()

    asyncio.get_running_loop().add_signal_handler(HANDOVER_SIGNAL, hand_over)
    allow_files(app[CONFIG].max_connections)
    server = HttpServer(app)
    try:
        await server.setup()
        await _warmed_up(app, stop, math.inf if ready_fd is not None else _WARM_UP_MAX_SECONDS)
        collect_seldom()  # with the catalog
        server.start(listener)
        if ready_fd is not None and not stop.is_set():
            os.write(ready_fd, READY)
            os.close(ready_fd)
        await stop.wait()
        await server.drain(successor=handed_over.is_set())
    finally:
        await server.close()


def allow_files(max_connections: int) -> None:
    """Raise the soft limit of open files to what so many connections need, where the hard one allows it."""
    needed = 2 * max_connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log.warning(
            "TAYANG_MAX_CONNECTIONS is %d, which needs %d open files, and %d are allowed: lower it, or raise "
            "the limit (ulimit -Hn, LimitNOFILE)",
            max_connections,
            needed,
            allowed,
        )


async def _warmed_up(app: web.Application, stop: asyncio.Event, max_seconds: float) -> None:
    """Return when the worker can answer: what waits in its socket's queue would get 503 before."""
    delivery = app.get(DELIVERY)
    deadline = time.monotonic() + max_seconds
    while delivery is not None and not stop.is_set() and time.monotonic() < deadline:
        if all(part["ok"] for part in readiness(delivery).values()):
            return
        await asyncio.sleep(_WARM_UP_POLL_SECONDS)
