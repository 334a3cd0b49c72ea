"""The merge: buffered rows → log, counts, watermarks and tick, in one transaction (I2, I4, I6).

A row counts as having left the buffer when its instance's watermark reaches it; the tables
themselves are emptied later, in turn, so that a merge never blocks a flusher (decision 0003).
"""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from buffer.contract import BUFFER_TABLES
from maintenance.duty import MERGE_LOCK, statement
from maintenance.erasures import erased_in_buffer
from maintenance.partitions import bounds

#: Rows of one instance in one transaction: bounds its duration (about 100k rows a second) and its locks.
MERGE_MAX_ROWS: Final = 50_000
#: A buffer table of this size is left and emptied: some 20,000 rows, which every merge reads again.
ROTATE_BYTES: Final = 2 * 1024 * 1024
_LOCK_MILLISECONDS: Final = 50

_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock($1)"
#: While a snapshot is open, tables of one row have many pages, and the row is the first by their key. No
#: statistics tell that; and what else is large is asked for by its key, too.
TAKE_TURN_TO_MERGE: Final = (
    "SELECT pg_advisory_xact_lock($1),"
    " set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"
)
_MERGE: Final = statement("merge")
_ROWS_LEFT: Final = statement("rows_left")
_BUFFER_SIZES: Final = statement("buffer_sizes")
_UNMERGED: Final = statement("unmerged_in")
_SWITCH: Final = statement("switch_buffer")


@dataclass(frozen=True)
class MergeResult:
    """`rows` left the buffer; `events` of them were new to the log, the others had been sent before.

    `erased` rows were dropped: their user was erased after their popup was served. `erasing`: an erasure is
    not done yet.
    """

    rows: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: int = 0
    erased: int = 0
    users: int = 0
    campaigns: int = 0
    seconds: float = 0.0
    rows_left: int = 0
    erasing: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def plus(self, other: "MergeResult") -> "MergeResult":
        """Both together. Users and campaigns touched by both count twice."""
        return MergeResult(
            **{
                name: value + getattr(other, name)
                for name, value in asdict(self).items()
                if name not in ("rows_left", "erasing")
            },
            rows_left=other.rows_left,
            erasing=other.erasing,
        )


async def merge_once(
    connection: asyncpg.Connection, now: datetime, *, max_rows: int = MERGE_MAX_ROWS
) -> MergeResult:
    """One transaction, one at a time. Raises LockNotAvailableError if another takes too long."""
    started = time.perf_counter()
    async with connection.transaction():
        await connection.execute(TAKE_TURN_TO_MERGE, MERGE_LOCK)
        limits = await bounds(connection)
        row = await connection.fetchrow(_MERGE, max_rows, limits.ids, limits.midnights, now)
    assert row is not None  # an aggregate without GROUP BY
    return MergeResult(
        rows=row["rows"],
        events=row["events"],
        duplicates=row["rows"] - row["events"] - row["unfit"] - row["erased"],
        quarantined=row["quarantined"],
        erased=row["erased"],
        users=row["users"],
        campaigns=row["campaigns"],
        seconds=time.perf_counter() - started,
        erasing=row["erasing"],
    )


async def merge_all(connection: asyncpg.Connection, now: datetime) -> MergeResult:
    """Merge until nothing is left that was there at the start, then empty what can be emptied."""
    result = await merge_once(connection, now)
    backlog = await rows_left(connection)
    while backlog > 0:
        step = await merge_once(connection, now)
        result = result.plus(step)
        backlog = min(backlog - step.rows, await rows_left(connection)) if step.rows else 0
    if await erased_in_buffer(connection):
        await rotate(connection, min_bytes=1)  # leaves the table; the next one empties it
    await rotate(connection)
    return result.plus(MergeResult(rows_left=await rows_left(connection)))


async def rows_left(connection: asyncpg.Connection) -> int:
    """Rows above their instance's watermark."""
    return int(await connection.fetchval(_ROWS_LEFT))


async def rotate(connection: asyncpg.Connection, *, min_bytes: int = ROTATE_BYTES) -> bool:
    """Empty the idle buffer table if all of it is merged; leave the active one when it has grown.

    Whoever still writes to the table that was left does no harm: the merge reads both. Returns
    whether a table was emptied.
    """
    async with connection.transaction():
        await connection.execute(_TAKE_TURN, MERGE_LOCK)
        sizes = await connection.fetchrow(_BUFFER_SIZES)
        assert sizes is not None  # merge_ticks has its one row from the first migration on
        active = sizes["active_buffer"]
        bytes_of = (sizes["bytes_0"], sizes["bytes_1"])
        idle = 1 - active
        emptied = bool(bytes_of[idle]) and await _empty(connection, BUFFER_TABLES[idle])
        if bytes_of[active] >= min_bytes and (emptied or not bytes_of[idle]):
            await connection.execute(_SWITCH, idle)
    return emptied


async def _empty(connection: asyncpg.Connection, table: str) -> bool:
    """TRUNCATE a buffer table, unless a row in it is not merged or a flusher is writing.

    The lock comes first: what was committed before it is seen by the check, and nothing comes after.
    """
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_MILLISECONDS}ms'")
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            if await connection.fetchval(_UNMERGED.replace("impression_buffer_0", table)):
                return False
            await connection.execute(f"TRUNCATE {table}")
    except asyncpg.LockNotAvailableError:
        return False
    return True
