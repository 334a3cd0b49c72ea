"""Connections to the primary for the admin API: every wait bounded, every failure one 503."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import asyncpg
from aiohttp import web
from asyncpg.pool import PoolConnectionProxy

from api.access.identity import ACTOR
from api.errors import UNAVAILABLE, busy
from api.keys import CONFIG, PRIMARY_POOL
from buffer.connection import ConnectionFailedError, cut_is_lost

Connection = asyncpg.Connection | PoolConnectionProxy

_SET_ACTOR: Final = (Path(__file__).parent / "sql" / "set_actor.sql").read_text()
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

_log = logging.getLogger(__name__)

#: The server is away, overloaded, or no primary any more: it passes. Everything else is a bug, and a 500.
_PASSING = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    ConnectionFailedError,
)


@asynccontextmanager
async def primary(request: web.Request, *, seconds: float | None = None) -> AsyncIterator[Connection]:
    """A connection to the primary; cut after `seconds`, by default `database_timeout_seconds`.

    Raises ProblemError UNAVAILABLE with Retry-After when the database fails. Read what the client sends
    outside, or translate its errors there: an OSError in here counts as the database's.
    """
    pool, limit = request.app[PRIMARY_POOL], request.app[CONFIG].database_timeout_seconds
    try:
        async with pool.acquire(timeout=limit) as connection:
            with cut_after(connection, limit if seconds is None else seconds):
                if request.method not in _SAFE_METHODS:  # giving it back to the pool resets it
                    await connection.execute(_SET_ACTOR, request[ACTOR])
                yield connection
    except _PASSING as error:
        if isinstance(error, ValueError):  # asyncpg.DataError: an argument of the wrong type
            raise
        _log.warning("admin request failed at the primary: %s: %s", type(error).__name__, error)
        # After a failover the other pooled connections still lead to what is a replica now.
        await pool.expire_connections()
        raise busy(UNAVAILABLE, "the primary database doesn't answer: try again shortly") from error


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Closes the connection when the block takes longer; what runs on it then fails at once.

    asyncpg's own timeouts ask the server to cancel and wait for that, which a hung server never answers.
    """
    deadline = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        with cut_is_lost(connection):
            yield
    finally:
        deadline.cancel()
