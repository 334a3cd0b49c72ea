"""Announcing this process's events to the others, and hearing theirs, through LISTEN and NOTIFY.

So a cap counts what another process accepted some milliseconds ago, and not only what is merged and
replicated. Announcements are a hint: one that is lost arrives with the merge (docs/decisions/0016).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import asyncpg

from api.background import signalled
from api.peers.memory import PeerMemory
from api.peers.message import MessageError, PeerEvent, pack, unpack
from buffer.connection import Connect, ConnectionFailedError, bounded, open_connection

log = logging.getLogger("tayang.peers")

CHANNEL: Final = "tayang_impressions"
#: The primary itself tells each new version of the catalog here.
CATALOG_CHANNEL: Final = "tayang_catalog"
#: And here whom to forget.
ERASURES_CHANNEL: Final = "tayang_erasures"
#: So often a process says that it is there; one that was not heard for thrice as long is taken for gone.
HELLO_SECONDS: Final = 1.0
PRESENT_SECONDS: Final = 3 * HELLO_SECONDS
_RECONNECT_FIRST_SECONDS: Final = 0.1
_RECONNECT_MAX_SECONDS: Final = 2.0
_ANNOUNCE: Final = (Path(__file__).parent / "sql" / "announce.sql").read_text()


class Exchange:
    """`run()` is one task; it holds one connection to the primary. Nothing ever waits for it.

    `interval_seconds` is the least time between two announcements; the first one leaves at once.
    """

    def __init__(
        self,
        connect: Connect,
        memory: PeerMemory,
        *,
        instance: int,
        interval_seconds: float,
        timeout_seconds: float,
        max_rows: int,
    ) -> None:
        self.memory = memory
        self.connected = False
        self.sent = 0
        #: Called with each version of the catalog that is announced; must return at once.
        self.on_catalog: Callable[[int], None] = _nobody
        #: Called with each user that is erased; with None when one may have been missed. Must return soon.
        self.on_erased: Callable[[str | None], None] = _nobody
        self._connect = connect
        self._instance = instance
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._outbox: deque[PeerEvent] = deque(maxlen=max_rows)
        self._wake = asyncio.Event()
        self._lost = False
        self._unread = ""

    @property
    def peers(self) -> int:
        """How many other processes are there."""
        return self.memory.present(PRESENT_SECONDS)

    def announce(
        self,
        *,
        seq: int,
        impression_id: bytes,
        kind: int,
        campaign_id: int,
        occurred_at_us: int,
        session: int,
        user_id: str,
    ) -> None:
        """Tell the others, if there are any."""
        if not self.connected or not self.peers:
            return
        self._outbox.append(
            PeerEvent(self._instance, seq, impression_id, kind, campaign_id, occurred_at_us, session, user_id)
        )
        self._wake.set()

    async def run(self) -> None:
        """Announce and listen, until cancelled."""
        delay = _RECONNECT_FIRST_SECONDS
        while True:
            try:
                connection = await open_connection(self._connect, seconds=self._timeout_seconds)
                delay = _RECONNECT_FIRST_SECONDS
                try:
                    await self._session(connection)
                finally:
                    self.connected = False
                    connection.terminate()
            except ConnectionFailedError as error:
                log.warning("announcements: %s", error)
            await asyncio.sleep(delay)
            delay = min(_RECONNECT_MAX_SECONDS, delay * 2)

    async def _session(self, connection: asyncpg.Connection) -> None:
        self._lost = False
        connection.add_termination_listener(self._connection_lost)
        hearers = {
            CHANNEL: self._heard,
            CATALOG_CHANNEL: self._catalog_changed,
            ERASURES_CHANNEL: self._user_erased,
        }
        for channel, hears in hearers.items():
            await bounded(connection, connection.add_listener(channel, hears), seconds=self._timeout_seconds)
        self.on_erased(None)
        self.connected = True
        while not self._lost:
            await self._send(connection)
            await asyncio.sleep(self._interval_seconds)
            if not self._outbox:
                self._wake.clear()
                await signalled(self._wake, HELLO_SECONDS)

    async def _send(self, connection: asyncpg.Connection) -> None:
        outbox = list(self._outbox)
        self._outbox.clear()
        payloads = pack(self._instance, outbox)
        await bounded(connection, connection.execute(_ANNOUNCE, payloads), seconds=self._timeout_seconds)
        self.sent += len(outbox)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            instance, events = unpack(str(payload))
        except MessageError as error:
            if str(error) != self._unread:  # another version's come by the hundred
                log.warning("an announcement can't be read: %s", error)
                self._unread = str(error)
            return
        if instance != self._instance:
            self.memory.heard(instance, events)

    def _catalog_changed(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        version = str(payload)
        if version.isascii() and version.isdigit():
            self.on_catalog(int(version))

    def _user_erased(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        user_id = str(payload)
        self._outbox = deque(
            (event for event in self._outbox if event.user_id != user_id), maxlen=self._outbox.maxlen
        )
        self.memory.forget_user(user_id)
        self.on_erased(user_id)

    def _connection_lost(self, _connection: object) -> None:
        self._lost = True
        self._wake.set()


def _nobody(_told: object) -> None:
    return None
