"""A proxy in front of one PostgreSQL server, on loopback: it forwards, and does what a `Fault` says.

It reads the client's messages whole, so that a fault can strike between two of them or inside one.
The server's bytes pass as they come. No TLS: embedded servers have none.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from tests.adversity.chaos.wire import Message, Point, Statements, application_name, read_first, read_message

_CONNECT_SECONDS: Final = 5.0
_CHUNK_BYTES: Final = 64 * 1024
_ENDED = (OSError, asyncio.IncompleteReadError, ConnectionError)


class Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, statements: Statements
    ) -> None:
        self.application = ""  # known once the startup packet has come
        self.is_cut = False
        self._client = client
        self._server = server
        self._statements = statements

    async def to_server(self, data: bytes) -> None:
        await _send(self._server, data)

    async def to_client(self, data: bytes) -> None:
        await _send(self._client, data)

    def point(self, message: Message) -> Point | None:
        return self._statements.follow(message)

    def end_for_client(self) -> None:
        """The client sees the end of the stream; the server doesn't."""
        with contextlib.suppress(OSError, RuntimeError):
            self._client.write_eof()

    def end_for_server(self) -> None:
        """The server sees the end of the stream; the client doesn't."""
        with contextlib.suppress(OSError, RuntimeError):
            self._server.write_eof()

    def cut(self) -> None:
        """The client's connection is reset. The server gets what was forwarded, then the end."""
        self.is_cut = True
        self._client.transport.abort()
        self._server.close()


class Fault:
    """What becomes of the traffic. This one forwards all; the others override what they disturb."""

    async def from_client(self, link: Link, message: Message, point: Point | None) -> None:
        """`point` is the statement that the message runs, if it does."""
        del point
        await link.to_server(message.raw)

    async def from_server(self, link: Link, data: bytes) -> None:
        await link.to_client(data)

    async def client_ended(self, link: Link) -> None:
        link.cut()

    async def server_ended(self, link: Link) -> None:
        link.cut()

    def begin(self, links: set[Link]) -> None:
        """Called when it takes effect, with the connections there are."""

    def end(self) -> None:
        """Called when it is over: whatever waits goes on."""


class Proxy:
    """`server_port` is the server's. Stop it; it leaves neither task nor port."""

    def __init__(self, server_port: int) -> None:
        self.links: set[Link] = set()
        #: Told of every statement that passes, before it does.
        self.on_statement: Callable[[Link, Point], None] = lambda _link, _point: None
        self._server_port = server_port
        self._fault = Fault()
        #: What ended a connection and was no end of a connection: a mistake of this proxy.
        self.errors: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    @property
    def port(self) -> int:
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    def strike(self, fault: Fault) -> None:
        """From now on; the one before ends."""
        before, self._fault = self._fault, fault
        before.end()
        fault.begin(self.links)

    def heal(self) -> None:
        self.strike(Fault())

    async def stop(self) -> None:
        if self._listener is None:
            return  # it never started
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                from_server, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except (OSError, TimeoutError):
            client.transport.abort()  # as near as a proxy comes to "connection refused"
            self._tasks.discard(task)
            return
        link = Link(client, server, Statements())
        self.links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ended(self._client_to_server(link, reader), link, "client"))
                both.create_task(self._ended(self._server_to_client(link, from_server), link, "server"))
        except asyncio.CancelledError:
            return  # a proxy that stops; asyncio's streams would log it
        except BaseExceptionGroup as mistakes:
            self.errors += mistakes.exceptions
        finally:
            link.cut()
            self.links.discard(link)
            self._tasks.discard(task)

    async def _ended(self, pump: Awaitable[None], link: Link, side: str) -> None:
        """Run one direction to its end, which is the other's too, unless the fault says otherwise."""
        with contextlib.suppress(*_ENDED):
            await pump
        if not link.is_cut:
            await (self._fault.client_ended(link) if side == "client" else self._fault.server_ended(link))

    async def _client_to_server(self, link: Link, reader: asyncio.StreamReader) -> None:
        started = False
        while not link.is_cut:
            message = await (read_message(reader) if started else read_first(reader))
            point = link.point(message) if started else None
            if not started:
                name = application_name(message)
                started, link.application = name is not None, name or ""
            if point is not None:
                self.on_statement(link, point)
            await self._fault.from_client(link, message, point)

    async def _server_to_client(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._fault.from_server(link, data)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if writer.is_closing():
        raise ConnectionResetError  # what is written to a closed one, each event loop answers in its own way
    writer.write(data)
    await writer.drain()
