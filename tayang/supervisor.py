"""Starts the processes of the service, watches them, and stops them in order.

A worker's listening socket belongs to the supervisor and is handed down: while a worker is
restarted its connections wait in the socket's queue, and none is refused.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tayang.process import LIFELINE_VARIABLE
from tayang.settings import Settings, SettingsError

log = logging.getLogger("tayang.supervisor")

_RESTART_FIRST_SECONDS: Final = 0.2
_RESTART_MAX_SECONDS: Final = 5.0
#: A part that has lived so long died of something new: it is restarted at once.
_STEADY_SECONDS: Final = 30.0
#: On top of what the settings grant for flushing and merging.
_STOP_GRACE_SECONDS: Final = 10.0


@dataclass(eq=False)
class Part:
    """One process: `tayang <arguments>` with the supervisor's environment and `environment` on top."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    listener: socket.socket | None = None
    process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0


class Supervisor:
    """Parts are stopped in the order in which they were added: first what takes requests."""

    def __init__(self, settings: Settings, *, restart: bool) -> None:
        self.parts: list[Part] = []
        self.failed = asyncio.Event()  # a part died, and is not to be restarted
        self._restart = restart
        self._stopping = False
        self._watchers: list[asyncio.Task[None]] = []
        self._stop_seconds = (
            settings.ack_timeout_seconds
            + settings.stop_flush_seconds
            + settings.stop_merge_seconds
            + _STOP_GRACE_SECONDS
        )
        self._lifeline = os.pipe()
        self._runtime_dir = tempfile.TemporaryDirectory(prefix="tayang-run-")

    @property
    def runtime_dir(self) -> Path:
        return Path(self._runtime_dir.name)

    async def start(self, part: Part) -> None:
        self.parts.append(part)
        await self._spawn(part)
        self._watchers.append(asyncio.create_task(self._watch(part), name=f"watch {part.name}"))

    async def stop(self) -> None:
        """SIGTERM in order, each with its deadline; SIGKILL for what does not heed it."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        for part in self.parts:
            await self._end(part)
            if part.listener is not None:
                part.listener.close()
        os.close(self._lifeline[0])
        os.close(self._lifeline[1])
        self._runtime_dir.cleanup()

    async def _spawn(self, part: Part) -> None:
        descriptors = [self._lifeline[0]]
        arguments = list(part.arguments)
        if part.listener is not None:
            descriptors.append(part.listener.fileno())
            arguments += ["--listen-fd", str(part.listener.fileno())]
        part.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tayang",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=descriptors,
            env=os.environ | part.environment | {LIFELINE_VARIABLE: str(self._lifeline[0])},
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the parts in order
        )

    async def _watch(self, part: Part) -> None:
        delay = _RESTART_FIRST_SECONDS
        while True:
            started = time.monotonic()
            assert part.process is not None
            code = await part.process.wait()
            log.error("%s (pid %d) ended with code %d", part.name, part.pid, code)
            if not self._restart:
                self.failed.set()
                return
            delay = _RESTART_FIRST_SECONDS if time.monotonic() - started > _STEADY_SECONDS else delay
            await asyncio.sleep(delay)
            delay = min(_RESTART_MAX_SECONDS, delay * 2)
            await self._spawn(part)

    async def _end(self, part: Part) -> None:
        process = part.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._stop_seconds):
                await process.wait()
        except TimeoutError:
            log.critical("%s did not stop within %.0f s: killing it", part.name, self._stop_seconds)
            process.kill()
            await process.wait()


def bind(host: str, port: int, count: int, *, setting: str) -> list[socket.socket]:
    """`count` sockets on one port, each with a queue of its own (SO_REUSEPORT). Raises SettingsError."""
    probe = _bound(host, port, setting, share=False)  # another service that shares its port would share ours
    port = probe.getsockname()[1]
    probe.close()
    return [_bound(host, port, setting, share=True) for _ in range(count)]


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
