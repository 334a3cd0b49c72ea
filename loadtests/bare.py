"""The yardstick: the least that aiohttp can do. `python -m loadtests.bare` prints its port and serves.

Ready-made bytes, uvloop, no access log, no middleware: what any service in aiohttp pays.
"""

import asyncio
import signal
import socket

import uvloop
from aiohttp import web

_BODY = b'{"popups":[],"as_of":"2026-11-23T10:00:00Z","next_fetch_seconds":60}'
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def answer(_request: web.Request) -> web.Response:
    return web.Response(body=_BODY, headers=_HEADERS)


async def serve() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = web.Application()
    app.add_routes([web.get("/", answer), web.get("/v1/popups", answer)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listener).start()
    print(listener.getsockname()[1], flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
