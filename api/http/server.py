"""The HTTP server of an application, from its first connection to an end without a reset."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import web

from api.background import background
from api.config import ApiConfig
from api.http.acceptor import Acceptor
from api.http.connections import Connections
from api.keys import CONFIG, CONNECTIONS

#: A handler waits for its acknowledgement at most; then the server stops waiting for the handler.
_HANDLER_GRACE_SECONDS: Final = 2.0
_KEEPALIVE_SECONDS: Final = 75.0
_DRAIN_POLL_SECONDS: Final = 0.02


class HttpServer:
    """`setup`, `start`, `drain`, `close`, in this order; `close` alone will do as well."""

    def __init__(self, app: web.Application) -> None:
        self._config: ApiConfig = app[CONFIG]
        self._connections: Connections = app[CONNECTIONS]
        self._handler_seconds = self._config.ack_timeout_seconds + _HANDLER_GRACE_SECONDS
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=False,
            shutdown_timeout=self._handler_seconds,
        )
        self._acceptor: Acceptor | None = None
        self._stack = AsyncExitStack()

    async def setup(self) -> None:
        """Start the application; nobody is let in yet."""
        await self._runner.setup()
        await self._stack.enter_async_context(background("slow clients", self._connections.watch()))

    def start(self, listener: socket.socket) -> None:
        """Let clients in."""
        self._acceptor = Acceptor(listener, self.protocols())
        self._connections.accepting.set()

    def protocols(self) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of each connection."""
        manager = self._runner.server
        assert manager is not None
        return self._connections.protocols(manager, **self._options())

    async def drain(self, *, successor: bool) -> None:
        """Let every client go with an answer; idle ones after a grace, since they may be about to ask.

        Goes on accepting for the grace, unless a successor does that. Ends when nobody is left, and at
        last after twice the grace and what a handler may take.
        """
        connections, grace = self._connections, self._config.stop_drain_seconds
        connections.closing = True
        connections.stopping = not successor
        began = time.monotonic()
        accept_until = began if successor else began + grace
        deadline = began + 2 * grace + self._handler_seconds
        while (now := time.monotonic()) < deadline:
            if now >= accept_until:
                self._stop_accepting()
            connections.close_idle(now, began, grace)
            if not len(connections):
                break
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        self._stop_accepting()

    async def close(self) -> None:
        self._stop_accepting()
        await self._runner.cleanup()
        await self._stack.aclose()

    def _stop_accepting(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def _options(self) -> dict[str, Any]:
        config = self._config
        return {
            "loop": asyncio.get_running_loop(),
            "access_log": None,
            "auto_decompress": False,  # api.http.encoding does it
            "keepalive_timeout": _KEEPALIVE_SECONDS,
            "max_line_size": config.head_line_max_bytes,
            "max_field_size": config.head_line_max_bytes,
            "max_headers": config.head_max_fields,
        }
