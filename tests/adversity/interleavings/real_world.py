"""The stateful test's database when it is a real one, with its replica."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg

from buffer.sink import CopySink, Sink
from maintenance.merge import merge_once, rotate
from tests.adversity.interleavings.world import Server, Shown
from tests.support.database import Database
from tests.support.rows import Row
from tests.support.servers import crash_a_backend
from tests.support.waiting import until

_EMPTY: Final = (
    "TRUNCATE impressions, user_campaign_counts, campaign_daily_counts, campaign_frequency,"
    " impression_buffer_0, impression_buffer_1, buffer_watermarks, impression_quarantine"
)
_MISCOUNTED: Final = """
SELECT count(*) FROM (
    SELECT user_id, campaign_id, count(*) AS total FROM impressions GROUP BY 1, 2
) AS logged
FULL JOIN user_campaign_counts AS c USING (user_id, campaign_id)
WHERE logged.total IS DISTINCT FROM c.total
"""
_FLUSHER: Final = "flusher of the interleavings"
_CUT: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"


class RealWorld:
    """Belongs to the loop that uses it. `empty()` before, `close()` after each example."""

    def __init__(self, database: Database, crashed: list[bool]) -> None:
        """`crashed` is kept by the test, over all of its examples."""
        self._crashed = crashed
        self._database = Database(database.name, database.cluster)  # connections of this loop
        self._dsn = database.primary_dsn

    async def empty(self) -> None:
        await (await self._database.primary()).execute(_EMPTY)

    async def close(self) -> None:
        await self._database.close()

    async def miscounted(self) -> int:
        """How many pairs of user and campaign are counted otherwise than logged."""
        return int(await (await self._database.primary()).fetchval(_MISCOUNTED))

    def sink(self, instance: int) -> Sink:
        return CopySink(self._connect, instance=instance, timeout_seconds=5.0)

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._dsn, server_settings={"application_name": _FLUSHER})

    async def merge(self, max_rows: int) -> None:
        """And empty what can be emptied, so that the tables take turns."""
        connection = await self._database.primary()
        await merge_once(connection, datetime.now(UTC), max_rows=max_rows)
        await rotate(connection, min_bytes=1)

    async def replicate(self) -> None:
        await self._database.caught_up()

    async def crash(self) -> None:
        """Once a real one, which takes a second; later what one does: no rows, no connections."""
        if not self._crashed:
            self._crashed.append(True)
            await crash_a_backend(self._database.cluster)
            return
        connection = await self._database.primary()
        async with connection.transaction():
            await connection.execute("TRUNCATE impression_buffer_0, impression_buffer_1")
            await connection.execute(_CUT, _FLUSHER)

    async def shown(self, server: Server, instance: int) -> Shown:
        database = self._database
        connection = await (database.primary() if server == "primary" else database.replica())
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            log = await connection.fetch("SELECT user_id, impression_id FROM impressions")
            watermark = await connection.fetchval(
                "SELECT seq FROM buffer_watermarks WHERE instance = $1", instance
            )
        return Shown(frozenset((row["user_id"], row["impression_id"].bytes) for row in log), watermark or 0)

    async def buffered(self) -> Collection[Row]:
        rows = await (await self._database.primary()).fetch("SELECT * FROM impression_buffer")
        return [Row(**{**row, "impression_id": UUID(str(row["impression_id"])).bytes}) for row in rows]

    async def settle(self, quiet: Callable[[], bool]) -> None:
        await until(quiet, "both flushers wait for something", seconds=30)

    async def let(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))
