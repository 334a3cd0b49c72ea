"""Starts the processes of the service, watches them, replaces them one by one, and stops them in order.

A worker's listening socket belongs to the supervisor and is handed down: while a worker is
restarted its connections wait in the socket's queue, and none is refused.
"""

import asyncio
import logging
import os
import signal
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Final

from tayang.listeners import close_listeners
from tayang.part import Part, Process, end
from tayang.process import HANDOVER_SIGNAL
from tayang.settings import Settings

log = logging.getLogger("tayang.supervisor")

_RESTART_FIRST_SECONDS: Final = 0.2
_RESTART_MAX_SECONDS: Final = 5.0
#: A part that has lived so long died of something new: it is restarted at once.
_STEADY_SECONDS: Final = 30.0
#: On top of what the settings grant for draining, flushing and merging.
_STOP_GRACE_SECONDS: Final = 10.0


class Supervisor:
    """Parts are stopped in the order in which they were added: first what takes requests."""

    def __init__(self, settings: Settings, *, restart: bool) -> None:
        self.parts: list[Part] = []
        self.failed = asyncio.Event()  # a part died, and is not to be restarted
        self._restart = restart
        self._watchers: dict[Part, asyncio.Task[None]] = {}
        self._replaced: set[Process] = set()  # they still drain
        self._drain_seconds = settings.stop_drain_seconds
        self._ready_seconds = settings.reload_ready_seconds
        self._stop_seconds = (
            2 * settings.stop_drain_seconds
            + settings.ack_timeout_seconds
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
        part.process = await part.spawn(self._lifeline[0])
        self._watch(part)

    async def replace_all(self) -> bool:
        """A rolling restart of the replaceable parts: each drains when its successor serves.

        If a successor does not get ready, the one that it should replace goes on, and so do the rest: False.
        """
        parts = [part for part in self.parts if part.replaceable]
        log.info("rolling restart of %d workers", len(parts))
        for part in parts:
            if not await self._replace(part):
                log.error(
                    "rolling restart given up: a new %s was not ready within %g s (its log is above); "
                    "what was not replaced goes on",
                    part.name,
                    self._ready_seconds,
                )
                return False
        log.info("rolling restart done")
        return True

    async def stop(self) -> None:
        """SIGTERM in order, to all workers at once; each with its deadline, and SIGKILL after it."""
        for watcher in self._watchers.values():
            watcher.cancel()
        for together, parts in groupby(self.parts, key=lambda part: part.replaceable):
            if together:
                await self._end(list(parts))
            else:
                for part in parts:
                    await self._end([part])
        os.close(self._lifeline[0])
        os.close(self._lifeline[1])
        self._runtime_dir.cleanup()

    def _watch(self, part: Part) -> None:
        if part in self._watchers:
            self._watchers[part].cancel()
        self._watchers[part] = asyncio.create_task(self._keep(part), name=f"watch {part.name}")

    async def _keep(self, part: Part) -> None:
        delay = _RESTART_FIRST_SECONDS
        while True:
            started, process = time.monotonic(), part.process
            assert process is not None
            code = await process.wait()
            log.error("%s (pid %d) ended with code %d", part.name, process.pid, code)
            if not self._restart:
                self.failed.set()
                return
            delay = _RESTART_FIRST_SECONDS if time.monotonic() - started > _STEADY_SECONDS else delay
            await asyncio.sleep(delay)
            delay = min(_RESTART_MAX_SECONDS, delay * 2)
            async with part.changing:  # a rolling restart may be about to put a successor there
                part.process = await part.spawn(self._lifeline[0])

    async def _replace(self, part: Part) -> bool:
        async with part.changing:
            old = part.process
            assert old is not None
            successor = await part.spawn_ready(self._lifeline[0], seconds=self._ready_seconds)
            if successor is None:
                return False
            part.process = successor
            self._watch(part)
            self._replaced.add(old)
        log.info("%s: pid %d serves, pid %d drains", part.name, successor.pid, old.pid)
        await end(old, part.name, by=HANDOVER_SIGNAL, seconds=self._stop_seconds)
        self._replaced.discard(old)
        return True

    async def _end(self, parts: list[Part]) -> None:
        """All of them at once. Their listeners are closed when they accept no more, and not when they end."""
        ending = [(part.process, part.name) for part in parts if part.process is not None]
        if any(part.replaceable for part in parts):
            ending += [(process, "a replaced worker") for process in self._replaced]
        ends = [
            asyncio.create_task(end(process, name, by=signal.SIGTERM, seconds=self._stop_seconds))
            for process, name in ending
        ]
        listeners = [part.listener for part in parts if part.listener is not None]
        if ends:
            await asyncio.wait(ends, timeout=self._drain_seconds if listeners else None)
        await close_listeners(listeners)
        await asyncio.gather(*ends)
