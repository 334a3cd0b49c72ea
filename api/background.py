"""Tasks that run as long as the application: named, referenced, and never silently dead."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

log = logging.getLogger("tayang")


@contextlib.asynccontextmanager
async def background(name: str, duty: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run a duty until the block ends. A duty that ends by itself is a defect: it is logged."""
    task = asyncio.create_task(duty, name=name)
    task.add_done_callback(_report)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def signalled(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the task %s died", task.get_name(), exc_info=error)
