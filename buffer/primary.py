"""The way to the primary, whichever of the hosts it is at the moment.

The hosts are asked in their order; the next one as soon as the one before has failed, or has not answered for
a moment (as RFC 8305 does with addresses). A host that hangs costs that moment, not a time-out.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from buffer.connection import DATABASE_ERRORS, ConnectionFailedError, failure
from buffer.fence import Fence, standing_of
from buffer.hosts import Host, split_hosts

#: What PostgreSQL answers to a write on a standby.
READ_ONLY_SQLSTATE: Final = "25006"
NO_ANSWER: Final = "no answer in time"


class Primary:
    """One for each process, since its fence remembers. Raises ValueError for a DSN that makes no sense."""

    def __init__(self, dsn: str, *, timeout_seconds: float, stagger_seconds: float) -> None:
        self.hosts = split_hosts(dsn)
        self.fence = Fence()
        self._timeout_seconds = timeout_seconds
        self._stagger_seconds = stagger_seconds

    async def connect(self, **options: Any) -> asyncpg.Connection:
        """A connection to the first host that is a primary; `options` are asyncpg's.

        Raises ConnectionFailedError with what each host has said, after `timeout_seconds` at the latest.
        """
        attempts: list[_Attempt] = []
        chosen = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                if len(self.hosts) > 1 and not self.fence.has_seen_a_primary:
                    # Two of them may say that they are the primary: only a look at all tells the newer one.
                    await self.look_around(seconds=self._stagger_seconds)
                chosen = await self._first(attempts, options)
        except TimeoutError:
            pass
        finally:
            await _abandon(attempts, but=chosen)
        return _connection_of(chosen, attempts)

    async def look_around(self, *, seconds: float) -> None:
        """Ask all hosts at once, so that the fence knows the newest primary of those that answer in time."""
        attempts = [_Attempt(host, self.fence, {}) for host in self.hosts]
        try:
            await asyncio.wait([attempt.task for attempt in attempts], timeout=seconds)
        finally:
            await _abandon(attempts)

    async def _first(self, attempts: list["_Attempt"], options: dict[str, Any]) -> "_Attempt | None":
        hosts = iter(self.hosts)
        waiting: set[asyncio.Task[None]] = set()
        while True:
            host = next(hosts, None)
            if host is not None:
                attempts.append(_Attempt(host, self.fence, options))
                waiting.add(attempts[-1].task)
            elif not waiting:
                return None
            _, waiting = await asyncio.wait(
                waiting,
                timeout=None if host is None else self._stagger_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in attempts:
                if attempt.succeeded():
                    return attempt


async def connect_to(
    host: Host, fence: Fence, *, timeout_seconds: float, **options: Any
) -> asyncpg.Connection:
    """A connection to this host, be it a standby or a primary that was not replaced.

    Raises ConnectionFailedError.
    """
    attempt = _Attempt(host, fence, options, standby_will_do=True)
    chosen = None
    try:
        await asyncio.wait([attempt.task], timeout=timeout_seconds)
        chosen = attempt if attempt.succeeded() else None
    finally:
        await _abandon([attempt], but=chosen)
    return _connection_of(chosen, [attempt])


class _Attempt:
    """One host being asked, in a task of its own."""

    def __init__(
        self, host: Host, fence: Fence, options: dict[str, Any], *, standby_will_do: bool = False
    ) -> None:
        self.host = host
        self.connection: asyncpg.Connection | None = None
        self.error: ConnectionFailedError | None = None
        self._standby_will_do = standby_will_do
        self.task = asyncio.create_task(self._run(fence, options), name=f"connecting to {host.name}")

    async def _run(self, fence: Fence, options: dict[str, Any]) -> None:
        try:
            self.connection = await asyncpg.connect(self.host.dsn, **options)
            standing = await standing_of(self.connection)
            fence.admit(self.connection, standing, self.host.name)
            if standing.timeline is None and not self._standby_will_do:
                self.error = ConnectionFailedError("a standby", READ_ONLY_SQLSTATE)
        except DATABASE_ERRORS as error:
            self.error = failure(error)

    def succeeded(self) -> bool:
        if not self.task.done():
            return False
        self.task.result()  # what is no database's error is a bug, and the caller's
        return self.error is None

    @property
    def outcome(self) -> str:
        return f"{self.host.name}: {self.error or NO_ANSWER}"

    def abandon(self) -> None:
        """Never by cancelling a query: that would ask the server, which may hang."""
        if self.connection is None:
            self.task.cancel()
        else:
            self.connection.terminate()


async def _abandon(attempts: Sequence[_Attempt], *, but: _Attempt | None = None) -> None:
    """End the attempts and what they have opened, except for the chosen one."""
    abandoned = [attempt for attempt in attempts if attempt is not but]
    for attempt in abandoned:
        attempt.abandon()
    try:
        await asyncio.gather(*(attempt.task for attempt in abandoned), return_exceptions=True)
    except asyncio.CancelledError:
        if but is not None:
            but.abandon()  # nobody is left to take it
        raise


def _connection_of(chosen: _Attempt | None, attempts: Sequence[_Attempt]) -> asyncpg.Connection:
    if chosen is not None and chosen.connection is not None:
        return chosen.connection
    states = [attempt.error.sqlstate for attempt in attempts if attempt.error is not None]
    reasons = "; ".join(attempt.outcome for attempt in attempts) or NO_ANSWER
    raise ConnectionFailedError(f"no server to connect to: {reasons}", next(filter(None, states), None))
