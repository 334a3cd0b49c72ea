"""One process of the service, and how it is started, awaited and ended."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tayang.process import LIFELINE_VARIABLE, READY

log = logging.getLogger("tayang.supervisor")

Process: TypeAlias = asyncio.subprocess.Process


@dataclass(eq=False)
class Part:
    """`tayang <arguments>` with the supervisor's environment and `environment` on top."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    listener: socket.socket | None = None
    replaceable: bool = False  # it takes --ready-fd and the handover signal: a rolling restart replaces it
    process: Process | None = None
    #: Held while a process is put in the place of another.
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    async def spawn(self, lifeline: int, *, ready_fd: int | None = None) -> Process:
        """A process of this part; it is not `process` yet."""
        descriptors = [lifeline]
        arguments = list(self.arguments)
        if self.listener is not None:
            descriptors.append(self.listener.fileno())
            arguments += ["--listen-fd", str(self.listener.fileno())]
        if ready_fd is not None:
            descriptors.append(ready_fd)
            arguments += ["--ready-fd", str(ready_fd)]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tayang",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=descriptors,
            env=os.environ | self.environment | {LIFELINE_VARIABLE: str(lifeline)},
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the parts in order
        )

    async def spawn_ready(self, lifeline: int, *, seconds: float) -> Process | None:
        """A process of this part that says it serves; None if it doesn't in time, or ends."""
        reads, writes = os.pipe()
        process: Process | None = None
        said = False
        try:
            try:
                process = await self.spawn(lifeline, ready_fd=writes)
            finally:
                os.close(writes)  # so that its end is the end of the file
            said = await _says_ready(reads, seconds)
        finally:
            os.close(reads)
            if process is not None and not said:
                await kill(process)
        return process if said else None


async def end(process: Process, name: str, *, by: signal.Signals, seconds: float) -> None:
    """Signal it, and kill it if it does not heed that in time."""
    if process.returncode is not None:
        return
    process.send_signal(by)
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        log.critical("%s (pid %d) did not stop within %.0f s: killing it", name, process.pid, seconds)
        await kill(process)


async def kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _says_ready(descriptor: int, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        async with asyncio.timeout(seconds):
            await readable.wait()
        return os.read(descriptor, len(READY)) == READY
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
