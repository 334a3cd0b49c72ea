"""`tayang serve`, `tayang backoffice` and `tayang maintain`, as their operators start them."""

import asyncio
import logging
import signal
import socket

from api.background import background
from tayang.database_check import check_database
from tayang.listeners import bind
from tayang.part import Part
from tayang.process import set_up_logging
from tayang.settings import Settings
from tayang.supervisor import Supervisor

log = logging.getLogger("tayang.service")


async def serve(settings: Settings) -> None:
    """`settings.workers` api processes on one port; one that dies is restarted. Until SIGTERM or SIGINT.

    SIGHUP replaces the workers one by one; another one meanwhile does it once more.
    """
    set_up_logging(settings)
    settings.api()
    await check_database(settings)
    supervisor = Supervisor(settings, restart=True)
    stop = signalled(signal.SIGTERM, signal.SIGINT)
    reload = signalled(signal.SIGHUP)
    try:
        await start_workers(supervisor, settings)
        log.info("serving on http://%s:%d with %d workers", *address(supervisor), settings.workers)
        async with background("rolling restarts", _replace_workers(supervisor, reload)):
            await stop.wait()
    finally:
        await supervisor.stop()


async def _replace_workers(supervisor: Supervisor, reload: asyncio.Event) -> None:
    while True:
        await reload.wait()
        reload.clear()
        try:
            await supervisor.replace_all()
        except OSError:
            log.exception("rolling restart given up: a process can't be started")


async def start_workers(
    supervisor: Supervisor, settings: Settings, environment: dict[str, str] | None = None
) -> None:
    listeners = bind(settings.http_host, settings.http_port, settings.workers, setting="TAYANG_HTTP_PORT")
    for number, listener in enumerate(listeners):
        arguments = ["worker", "--number", str(number), "--runtime-dir", str(supervisor.runtime_dir)]
        part = Part(f"api worker {number}", arguments, environment or {}, listener, replaceable=True)
        await supervisor.start(part)


def address(supervisor: Supervisor) -> tuple[str, int]:
    """Host and port of the first part that listens."""
    listener = next(part.listener for part in supervisor.parts if part.listener is not None)
    host, port = listener.getsockname()[:2]
    return host, port


def backoffice_listener(settings: Settings) -> socket.socket:
    return bind(settings.http_host, settings.backoffice_port, 1, setting="TAYANG_BACKOFFICE_PORT")[0]


def stop_event() -> asyncio.Event:
    """Set by SIGTERM and SIGINT, and by SIGHUP (the terminal was closed) unless `nohup` has it ignored."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return signalled(signal.SIGTERM, signal.SIGINT)
    return signalled(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def signalled(*numbers: signal.Signals) -> asyncio.Event:
    """An event that each of these signals sets."""
    event = asyncio.Event()
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event
