"""The long-running processes of the service, each an entry of its own: worker, backoffice, maintenance."""

import asyncio
import logging
import os
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
from maintenance.loop import maintain
from tayang.settings import Settings

#: The read end of a pipe whose other end the supervisor holds: at end of file the supervisor is gone.
LIFELINE_VARIABLE: Final = "TAYANG_LIFELINE_FD"
_LISTEN_BACKLOG: Final = 1024
#: A handler waits for its acknowledgement at most; then the server stops waiting for the handler.
_HANDLER_GRACE_SECONDS: Final = 2.0
#: A worker whose databases are away starts all the same, and says so in /readyz.
_WARM_UP_MAX_SECONDS: Final = 2.0
_WARM_UP_POLL_SECONDS: Final = 0.01
_MAX_LINE_BYTES: Final = 8190
_KEEPALIVE_SECONDS: Final = 75.0


def run_worker(settings: Settings, listener: socket.socket, worker: int, runtime_dir: Path | None) -> None:
    """One api process on a socket that the supervisor has bound."""
    config = settings.api(worker, runtime_dir)
    _run(settings, lambda stop: _serve(create_app(config), listener, settings, stop))


def run_backoffice(settings: Settings, listener: socket.socket) -> None:
    config = settings.api()
    _run(settings, lambda stop: _serve(create_backoffice(config), listener, settings, stop))


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
    app: web.Application, listener: socket.socket, settings: Settings, stop: asyncio.Event
) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=False,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        shutdown_timeout=settings.ack_timeout_seconds + _HANDLER_GRACE_SECONDS,
    )
    await runner.setup()
    try:
        await _warmed_up(app, stop)
        await web.SockSite(runner, listener, backlog=_LISTEN_BACKLOG).start()
        await stop.wait()
    finally:
        await runner.cleanup()


async def _warmed_up(app: web.Application, stop: asyncio.Event) -> None:
    """Return when the worker can answer: what waits in its socket's queue would get 503 before."""
    delivery = app.get(DELIVERY)
    deadline = time.monotonic() + _WARM_UP_MAX_SECONDS
    while delivery is not None and not stop.is_set() and time.monotonic() < deadline:
        if all(part["ok"] for part in readiness(delivery).values()):
            return
        await asyncio.sleep(_WARM_UP_POLL_SECONDS)
