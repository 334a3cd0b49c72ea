"""Why requests were not shown a campaign: counted in memory, added to the primary's table every few seconds.

Statistics, so cheap ones: a process that is killed loses what it has counted since the last time (one
interval), and what was under way when a connection broke may be added twice. No request waits for it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from api.config import ApiConfig
from api.database import counting_connection
from buffer.connection import Connect, ConnectionFailedError, bounded, open_connection
from buffer.primary import Primary

log = logging.getLogger("tayang.no_shows")

#: Of the time that a flush may take: the server gives up first, and then nothing is in doubt.
_SERVERS_SHARE: Final = 0.8

#: By campaign id and reason: how many requests.
NoShows = Mapping[tuple[int, str], int]

_ADD: Final = (Path(__file__).parent / "sql" / "add_no_shows.sql").read_text()


def no_show_writer(config: ApiConfig, primary: Primary, take: Callable[[], NoShows]) -> "NoShowWriter":
    """`take` returns what was counted since it was called last."""
    return NoShowWriter(
        take,
        counting_connection(
            primary,
            name=f"no-shows {config.worker}",
            statement_seconds=_SERVERS_SHARE * config.database_timeout_seconds,
        ),
        interval_seconds=config.no_show_interval_seconds,
        timeout_seconds=config.database_timeout_seconds,
        max_rows=config.no_show_max_rows,
    )


class NoShowWriter:
    """`run()` is one task. It connects for each flush: an idle process holds no connection for this."""

    def __init__(
        self,
        take: Callable[[], NoShows],
        connect: Connect,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        max_rows: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._take = take
        self._connect = connect
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._max_rows = max_rows
        self._clock = clock
        self._kept: dict[tuple[int, str], int] = {}
        self._turn = asyncio.Lock()
        self._failing = False

    async def run(self) -> None:
        """Flush every interval, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.flush()

    async def stop(self, *, seconds: float) -> None:
        """Flush for the last time, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except TimeoutError:
            pass
        if self._kept:
            log.warning("%d requests that were not shown a campaign go uncounted", sum(self._kept.values()))

    async def flush(self) -> bool:
        """Add what was counted to the day of each campaign. False: it failed, and waits for the next time."""
        async with self._turn:
            self._keep(self._take())
            if not self._kept:
                return True
            try:
                await self._add()
            except ConnectionFailedError as error:
                level = logging.DEBUG if self._failing else logging.WARNING
                log.log(level, "counts of requests that were not shown a campaign wait: %s", error)
                self._failing = True
                return False
            self._kept.clear()
            self._failing = False
            return True

    def _keep(self, counted: NoShows) -> None:
        dropped = 0
        for key, requests in counted.items():
            if key in self._kept or len(self._kept) < self._max_rows:
                self._kept[key] = self._kept.get(key, 0) + requests
            else:
                dropped += requests
        if dropped:
            log.warning("%d requests that were not shown a campaign go uncounted: too many wait", dropped)

    async def _add(self) -> None:
        """Raises ConnectionFailedError, perhaps after the commit."""
        ids, reasons = zip(*self._kept, strict=True)
        requests = list(self._kept.values())
        connection = await open_connection(self._connect, seconds=self._timeout_seconds)
        try:
            work = connection.execute(_ADD, ids, reasons, requests, self._clock())
            await bounded(connection, work, seconds=self._timeout_seconds)
        finally:
            connection.terminate()
