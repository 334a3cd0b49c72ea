"""Takes clients from a listening socket's queue.

libuv, and with it uvloop's own server, accepts one client in each turn of the event loop. A flooded process
has few and long turns: its clients would wait in the queue for seconds, where nobody can refuse them.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

log = logging.getLogger("tayang.http")

_BACKLOG: Final = 1024
#: So that a turn stays short: a client costs some 50 µs.
_CLIENTS_A_TURN: Final = 128
_PAUSE_SECONDS: Final = 0.5


class Acceptor:
    """Owns `listener` from now on."""

    def __init__(self, listener: socket.socket, protocols: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._protocols = protocols
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Whoever is in the queue stays there for others that have the socket open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_CLIENTS_A_TURN):
            try:
                client = self._listener.accept()[0]
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor or memory is left: the socket would stay readable
                log.error("cannot accept: %s; trying again in %g s", error, _PAUSE_SECONDS)  # noqa: TRY400
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return
            task = self._loop.create_task(self._serve(client, self._protocols()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, protocol: asyncio.Protocol) -> None:
        client.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, client)
        except OSError:
            client.close()  # it has gone again
            protocol.connection_lost(None)
