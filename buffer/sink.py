"""Where the flusher writes: a Protocol, and the real one that COPYs into PostgreSQL."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import asyncpg

from buffer.connection import Connect, ConnectionFailedError, bounded, open_connection
from buffer.contract import BUFFER_TABLES, COLUMNS
from buffer.record import copy_payload

_POSITION: Final = (Path(__file__).parent / "sql" / "position.sql").read_text()


class Sink(Protocol):
    """Every method raises ConnectionFailedError; whether a write was committed is then unknown."""

    async def open(self, on_lost: Callable[[], None]) -> int:
        """(Re)connect; returns the primary's watermark of this instance.

        `on_lost` is called, at most once, when the connection goes, also while idle.
        """
        ...

    async def write(self, rows: list[bytes]) -> None:
        """Commit the rows together, in this order."""
        ...

    async def watermark(self) -> int:
        """The primary's watermark of this instance, and proof that the connection lives."""
        ...

    async def close(self) -> None: ...


class CopySink:
    """COPYs binary rows into the active buffer table, over one connection of its own.

    No wait is longer than `timeout_seconds`; then the connection is cut.
    """

    def __init__(self, connect: Connect, *, instance: int, timeout_seconds: float) -> None:
        self._connect = connect
        self._instance = instance
        self._timeout_seconds = timeout_seconds
        self._connection: asyncpg.Connection | None = None
        #: Index into BUFFER_TABLES. A stale one is harmless: the merge reads both tables.
        self.active_buffer = 0

    async def open(self, on_lost: Callable[[], None]) -> int:
        await self.close()
        connection = await open_connection(self._connect, seconds=self._timeout_seconds)

        def lost(_: object) -> None:
            if self._connection is connection:  # not one that was closed here, which is reported later
                on_lost()

        connection.add_termination_listener(lost)
        self._connection = connection
        return await self.watermark()

    async def write(self, rows: list[bytes]) -> None:
        connection = self._open_connection()
        copy = connection.copy_to_table(
            BUFFER_TABLES[self.active_buffer],
            # asyncpg takes any buffer; its stubs do not say so.
            source=cast("BinaryIO", memoryview(copy_payload(rows))),
            columns=COLUMNS,
            format="binary",
        )
        await bounded(connection, copy, seconds=self._timeout_seconds)

    async def watermark(self) -> int:
        connection = self._open_connection()
        row = await bounded(
            connection, connection.fetchrow(_POSITION, self._instance), seconds=self._timeout_seconds
        )
        assert row is not None  # merge_ticks has its one row from the first migration on
        self.active_buffer = row["active_buffer"]
        return int(row["seq"])

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()

    def _open_connection(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            raise ConnectionFailedError("the connection is closed")
        return self._connection
