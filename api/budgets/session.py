"""A connection to the primary, opened when it is needed: a service without hard budgets has none."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from buffer.connection import Connect, ConnectionFailedError, bounded, open_connection

T = TypeVar("T")
_SQL: Final = Path(__file__).parent / "sql"


def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_SQL / f"{name}.sql").read_text()


_DURABLE: Final = statement("durable")


class Session:
    """One caller at a time. No wait is longer than `timeout_seconds`, connecting apart."""

    def __init__(self, connect: Connect, *, timeout_seconds: float) -> None:
        self._connect = connect
        self._timeout_seconds = timeout_seconds
        self._connection: asyncpg.Connection | None = None

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Raises ConnectionFailedError; what was under way may have been committed.

        The next call connects again, perhaps to another server: this one may be no primary any more.
        """
        try:
            connection = self._connection
            if connection is None or connection.is_closed():
                connection = await self._open()
            return await bounded(connection, work(connection), seconds=self._timeout_seconds)
        except ConnectionFailedError:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()

    async def _open(self) -> asyncpg.Connection:
        connection = await open_connection(self._connect, seconds=self._timeout_seconds)
        self._connection = connection
        await bounded(connection, connection.execute(_DURABLE), seconds=self._timeout_seconds)
        return connection
