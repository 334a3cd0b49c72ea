"""Waiting for PostgreSQL with a limit, without ever sending a cancel request.

A cancelled COPY may have been committed, and asking a hung server to cancel hangs too. So a wait
that is over cuts the connection: the operation then ends at once with a connection error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")
Connect = Callable[[], Awaitable[asyncpg.Connection]]


class ConnectionFailedError(Exception):
    """The server can't be reached, hung, or refused. What was under way may have been committed."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


#: All that a connection fails with, whoever opened it. InternalClientError is what asyncpg makes of
#: some connections that break in the middle of an answer.
DATABASE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionFailedError,
)


async def open_connection(connect: Connect, *, seconds: float) -> asyncpg.Connection:
    """Raises ConnectionFailedError."""
    try:
        async with asyncio.timeout(seconds):
            return await connect()
    except DATABASE_ERRORS as error:
        raise failure(error) from error


async def bounded(connection: asyncpg.Connection, operation: Awaitable[T], *, seconds: float) -> T:
    """Await an operation on `connection`; after `seconds` cut it. Raises ConnectionFailedError."""
    deadline = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        with cut_is_lost(connection):
            return await operation
    except DATABASE_ERRORS as error:
        raise failure(error) from error
    finally:
        deadline.cancel()


@contextmanager
def cut_is_lost(connection: asyncpg.Connection | PoolConnectionProxy) -> Iterator[None]:
    """Around what may be cut: asyncpg stumbles over its own state when that happens between two of its steps.

    Raises ConnectionFailedError then.
    """
    try:
        yield
    except AttributeError as error:
        if not connection.is_closed():
            raise
        raise ConnectionFailedError("the connection was cut") from error


def failure(error: Exception) -> ConnectionFailedError:
    """The driver's error as ours."""
    text = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return ConnectionFailedError(text, getattr(error, "sqlstate", None))
