"""Waiting for a condition, with a deadline. Tests never wait for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(condition: Callable[[], Awaitable[Any] | Any], what: str, *, seconds: float = 20.0) -> Any:
    """Poll until the condition is true; returns its value. Fails the test after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not so: {what}")
        await asyncio.sleep(0.005)
