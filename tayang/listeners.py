"""Listening sockets: bound by the supervisor, handed down to the parts, and closed without a reset."""

import asyncio
import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from api import errors
from api.http.refusal import Refusal, ready_made
from tayang.settings import SettingsError

#: For a client that has been told it is connected while its last packet is still on its way to us.
_HANDSHAKE_SECONDS: Final = 0.1
_REFUSAL_SECONDS: Final = 2.0
#: More wait in no queue (the backlog of the workers' sockets), and each costs a descriptor.
_REFUSALS_MAX: Final = 1024

_STOPPING: Final = ready_made(
    errors.STOPPING, "Nothing was done. Send it again, to another server.", retry_after_seconds=1
)

# Not in the socket module. The filter, as classic BPF (linux/filter.h): (code, jump if, jump else, k).
_SO_ATTACH_FILTER: Final = 26
_LOAD_FLAGS: Final = (0x30, 0, 0, 13)  # the byte of a TCP header with the flags
_IS_SYN: Final = (0x45, 0, 1, 0x02)
_DROP: Final = (0x06, 0, 0, 0)
_PASS: Final = (0x06, 0, 0, 0xFFFFFFFF)


def bind(host: str, port: int, count: int, *, setting: str) -> list[socket.socket]:
    """`count` sockets on one port, each with a queue of its own (SO_REUSEPORT). Raises SettingsError."""
    probe = _bound(host, port, setting, share=False)  # another service that shares its port would share ours
    port = probe.getsockname()[1]
    probe.close()
    return [_bound(host, port, setting, share=True) for _ in range(count)]


async def close_listeners(listeners: Sequence[socket.socket]) -> None:
    """Answer 503 to whoever waits in the queues and close them, so that nobody is reset.

    Closing a listening socket resets what is in its queue, and between the last look into the queue and
    the close another client could get in. So new clients are kept out first: their first packets are dropped,
    and when they try again, after a second, the connection is refused.
    """
    for listener in listeners:
        _let_nobody_in(listener)
    refusals = _Refusals()
    await refusals.take(listeners)
    await asyncio.sleep(_HANDSHAKE_SECONDS)
    await refusals.take(listeners)
    for listener in listeners:
        listener.close()
    await refusals.ended()


class _Refusals:
    def __init__(self) -> None:
        self._open: set[Refusal] = set()
        self._changed = asyncio.Event()

    async def take(self, listeners: Iterable[socket.socket]) -> None:
        """Accept all that wait."""
        for listener in listeners:
            listener.setblocking(False)
            with contextlib.suppress(OSError):  # BlockingIOError: the queue is empty
                while True:
                    await self._refuse(listener.accept()[0])

    async def ended(self) -> None:
        """Each ends by itself in time."""
        while self._open:
            self._changed.clear()
            await self._changed.wait()

    async def _refuse(self, client: socket.socket) -> None:
        while len(self._open) >= _REFUSALS_MAX:
            self._changed.clear()
            await self._changed.wait()
        client.setblocking(False)
        refusal = Refusal(_STOPPING, seconds=_REFUSAL_SECONDS, on_end=self._end)
        self._open.add(refusal)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: refusal, client)

    def _end(self, refusal: Refusal) -> None:
        self._open.discard(refusal)
        self._changed.set()


def _let_nobody_in(listener: socket.socket) -> None:
    """Drop the first packet of every new connection. Linux only; elsewhere a few resets remain possible."""
    instructions = (_LOAD_FLAGS, _IS_SYN, _DROP, _PASS)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
    program = struct.pack("HL", len(instructions), ctypes.addressof(code))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _bound(host: str, port: int, setting: str, *, share: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"port {port} is in use: stop what uses it, or set {setting}") from error
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror} ({setting})") from error
    return listener
