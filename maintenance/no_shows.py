"""Retention of the counts of requests that were not shown a campaign: as long as the daily counts."""

from datetime import date, timedelta
from typing import Final

import asyncpg

from maintenance.duty import statement

#: Some 40 ms and 0.6 MB of WAL each: what else runs goes on between two of them.
BATCH_ROWS: Final = 10_000

_FORGET: Final = statement("forget_no_shows")


async def forget_no_shows(
    connection: asyncpg.Connection, today: date, *, daily_count_days: int, batch_rows: int = BATCH_ROWS
) -> int:
    """Deletes what is older, a batch at a time, each in a transaction of its own; returns how many rows."""
    oldest = today - timedelta(days=daily_count_days)
    deleted = 0
    while True:
        batch = int((await connection.execute(_FORGET, oldest, batch_rows)).removeprefix("DELETE "))
        deleted += batch
        if batch < batch_rows:
            return deleted
