"""How the baselines serve: as Tayang does, with uvloop, without access log; the port on standard output."""

import asyncio
import os
import signal
import socket

import uvloop
from aiohttp import web


def serve(app: web.Application) -> None:
    """Until SIGTERM or SIGINT, or until whoever started it is gone."""
    uvloop.run(_serve(app))


async def _serve(app: web.Application) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listener).start()
    print(listener.getsockname()[1], flush=True)
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:
        try:
            async with asyncio.timeout(1):
                await stop.wait()
        except TimeoutError:
            continue
    await runner.cleanup()
