"""One database server to read from: its connection, whether it answers, how far it has come."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import asyncpg

from api.campaigns.catalog import Catalog
from api.campaigns.live import LiveCampaign
from api.read.snapshot import (
    CATALOG,
    PRIMARY_POSITION,
    SNAPSHOT,
    SNAPSHOT_OF_ONE,
    Snapshot,
    campaigns_of,
    snapshot_of,
    stored_catalog,
)
from buffer.connection import Connect, ConnectionFailedError, bounded, open_connection

log = logging.getLogger("tayang.read")

_RECONNECT_FIRST_SECONDS: Final = 0.1
_RECONNECT_MAX_SECONDS: Final = 2.0
#: A standby cancels a query that stands in the way of replay; asked again it answers.
_RECOVERY_CONFLICT: Final = "40001"
#: A server that replays nothing is a primary (a promoted replica, say): behind nobody.
_EVERYTHING: Final = 2**63
#: Some 10 ms of work; between two such helpings others have their turn.
_COMPILED_AT_ONCE: Final = 50


class Server:
    """Holds one connection, reopened by `run()`. Calls on it take turns."""

    def __init__(
        self, name: str, connect: Connect, *, instance: int, timeout_seconds: float, connect_seconds: float
    ) -> None:
        self.name = name
        self.connected = asyncio.Event()
        #: The instance's watermark in the last answer: what this reader shows as merged.
        self.watermark = 0
        self.replayed = 0
        #: How often it was connected. Behind another connection of the same name may be another server.
        self.openings = 0
        self._connect = connect
        self._instance = instance
        self._timeout_seconds = timeout_seconds
        self._connect_seconds = connect_seconds
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._lost = asyncio.Event()
        self._refusal = ""

    @property
    def usable(self) -> bool:
        return self.connected.is_set()

    @property
    def is_primary(self) -> bool:
        """By its last answer; a replica may have been promoted."""
        return self.replayed == _EVERYTHING

    async def run(self) -> None:
        """Keep the connection open, until cancelled."""
        delay = _RECONNECT_FIRST_SECONDS
        try:
            while True:
                if await self._open():
                    delay = _RECONNECT_FIRST_SECONDS
                    await self._lost.wait()
                    log.warning("%s: the connection is gone", self.name)
                self._close()
                await asyncio.sleep(delay)
                delay = min(_RECONNECT_MAX_SECONDS, delay * 2)
        finally:
            self._close()

    async def snapshot(self, users: Sequence[str], peers: Sequence[int] = ()) -> Snapshot:
        """`peers` are other instances whose watermarks are told, too.

        Raises ConnectionFailedError; the connection is then reopened in the background.
        """
        try:
            rows = await self._rows(users, peers)
        except ConnectionFailedError as error:
            if error.sqlstate != _RECOVERY_CONFLICT:
                raise
            rows = await self._rows(users, peers)
        snapshot = snapshot_of(self.name, rows, peers)
        self.watermark = snapshot.watermark
        self.replayed = _EVERYTHING if snapshot.replayed is None else snapshot.replayed
        return snapshot

    async def _rows(self, users: Sequence[str], peers: Sequence[int]) -> list[asyncpg.Record]:
        """What all share, then a row for each user."""
        if len(users) > 1:
            return await self._fetch(SNAPSHOT, self._instance, users, peers)
        user = users[0] if users else None
        return await self._fetch(SNAPSHOT_OF_ONE, self._instance, user, peers) * 2

    async def catalog(self, previous: Catalog, *, afresh: bool = False) -> Catalog:
        """The catalog as this server has it now; `afresh` if versions of `previous` may mean other things.

        Raises ConnectionFailedError.
        """
        known = {} if afresh else previous.known_versions
        row = (await self._fetch(CATALOG, list(known), list(known.values())))[0]
        changed: list[LiveCampaign] = []
        for start in range(0, len(row["changed"]), _COMPILED_AT_ONCE):
            documents = campaigns_of(row["changed"][start : start + _COMPILED_AT_ONCE])
            changed += [previous.compiled(campaign) for campaign in documents]
            await asyncio.sleep(0)
        return previous.replaced_by(stored_catalog(row, changed))

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """A statement beside the snapshots, in turn with them. Raises ConnectionFailedError."""
        return await self._fetch(statement, *arguments)

    async def primary_position(self) -> int:
        """How far the log is flushed. Raises ConnectionFailedError, also when this is a standby."""
        return int((await self._fetch(PRIMARY_POSITION))[0]["flushed"])

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._turn:
            connection = self._connection
            if connection is None or connection.is_closed():
                raise ConnectionFailedError(f"{self.name}: not connected")
            try:
                return await bounded(
                    connection, connection.fetch(statement, *arguments), seconds=self._timeout_seconds
                )
            except ConnectionFailedError:
                if connection.is_closed():
                    self._connection_lost(connection)
                raise

    async def _open(self) -> bool:
        try:
            connection = await open_connection(self._connect, seconds=self._connect_seconds)
        except ConnectionFailedError as error:
            # A host may be away for long, and is asked every 2 s.
            log.log(
                logging.DEBUG if str(error) == self._refusal else logging.WARNING,
                "%s: cannot connect: %s",
                self.name,
                error,
            )
            self._refusal = str(error)
            return False
        self._refusal = ""
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._connection_lost(connection))
        self._connection = connection
        self.openings += 1
        self.watermark = 0  # what a server before it has shown, this one may lack
        self.connected.set()
        log.info("%s: connected", self.name)
        return True

    def _connection_lost(self, connection: asyncpg.Connection) -> None:
        if self._connection is connection:  # not one that was closed here, which is reported later
            self.connected.clear()
            self._lost.set()

    def _close(self) -> None:
        self.connected.clear()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()
