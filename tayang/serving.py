"""Serving an application in a process of its own, from its warm-up to the last client's answer."""

import asyncio
import logging
import math
import os
import resource
import socket
import time
from typing import Final

from aiohttp import web

from api.http.delivery import DELIVERY
from api.http.health import readiness
from api.http.server import HttpServer
from api.keys import CONFIG
from tayang.garbage import collect_seldom
from tayang.process import HANDOVER_SIGNAL, READY

#: A worker whose databases are away starts all the same, and says so in /readyz. A successor waits.
_WARM_UP_MAX_SECONDS: Final = 2.0
_WARM_UP_POLL_SECONDS: Final = 0.01
#: Besides those of clients, lingering ones included: databases, listener, logs, the event loop's.
_OTHER_FILES: Final = 100

log = logging.getLogger("tayang.process")


async def serve(
    app: web.Application, listener: socket.socket, stop: asyncio.Event, ready_fd: int | None = None
) -> None:
    """Until `stop`. READY goes to `ready_fd` when clients are let in."""
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
