"""The reference client of docs/clients/python for tests: no jitter, its pauses' clock stands still."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tayang_client import Event, Outbox, Pause, ServerTime, TayangClient
from tests.support.service import user_jwt


class Monotonic:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Phone:
    client: TayangClient
    outbox: Outbox
    clock: Monotonic
    dropped: list[tuple[Event, str]] = field(default_factory=list)

    @property
    def drops(self) -> list[tuple[str, str]]:
        """Kind and code of each."""
        return [(event.kind, code) for event, code in self.dropped]

    async def send(self) -> None:
        """All that waits; it must be taken at the first try."""
        assert await self.client.flush() == 0.0
        assert len(self.outbox) == 0


@asynccontextmanager
async def phone(
    url: str,
    user: str,
    file: Path,
    *,
    credentials: Callable[[bool], Awaitable[str]] | None = None,
    max_events: int = 10_000,
    **more: Any,
) -> AsyncIterator[Phone]:
    """`file` is where its events wait; another phone with the same one is the app after a restart."""

    async def jwt(_refused: bool) -> str:
        return user_jwt(user)

    clock, outbox = Monotonic(), Outbox(file, max_events=max_events)
    dropped: list[tuple[Event, str]] = []
    async with aiohttp.ClientSession(url) as session:
        client = TayangClient(
            session,
            user,
            credentials or jwt,
            outbox,
            on_dropped=lambda event, code, _detail: dropped.append((event, code)),
            pause=lambda: Pause(monotonic=clock, jitter=lambda: 1.0),
            **({"time": ServerTime()} | more),
        )
        yield Phone(client, outbox, clock, dropped)
    outbox.close()
