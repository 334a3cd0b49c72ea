"""What an erasure leaves to do once its request is answered: the log, and rows that wait in the buffer.

The request itself (api/admin/erasures.py) has removed what has a key by user, and left a record. From then on
merges drop the user's older impressions, so nothing comes back while the log is searched, which has no index
by user (docs/decisions/0027).
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from maintenance.duty import statement
from maintenance.partitions import Partition, partitions_of

log = logging.getLogger("tayang.erasures")

#: One pass through the log serves so many erasures, and a later one the others.
ERASURES_A_PASS: Final = 1000

_OPEN: Final = statement("open_erasures")
_BUFFERED: Final = statement("erased_in_buffer")
_ERASE: Final = statement("erase_logged")
_DONE: Final = statement("finish_erasures")
_FORGET: Final = statement("forget_erasures")


class _Erasure(NamedTuple):
    id: UUID
    user_hash: int
    before_id: UUID
    erased_at: datetime


async def finish_erasures(connection: asyncpg.Connection, now: datetime) -> int:
    """Search the log for all users whose erasure is open; returns how many erasures are done by that.

    Those of whom the buffer still holds a row wait for the next time. Each partition is a transaction of its
    own, and an interrupted pass is begun again. The caller holds ERASURE_DUTY.
    """
    found = [_Erasure(*row) for row in await connection.fetch(_OPEN, ERASURES_A_PASS)]
    if not found:
        return 0
    buffered = await erased_in_buffer(connection)
    ready = [erasure for erasure in found if erasure.user_hash not in buffered]
    if not ready:
        return 0
    removed = await _erase_logged(connection, ready)
    await connection.execute(
        _DONE,
        [erasure.id for erasure in ready],
        [erasure.erased_at for erasure in ready],
        [removed[erasure.user_hash] for erasure in ready],
        now,
    )
    log.info("%d erasures done: %d rows of the log removed", len(ready), removed.total())
    return len(ready)


async def erased_in_buffer(connection: asyncpg.Connection) -> frozenset[int]:
    """The hashes of erased users of whom a buffer table holds a row that was served before, merged or not."""
    return frozenset(row["user_hash"] for row in await connection.fetch(_BUFFERED))


async def forget_erasures(connection: asyncpg.Connection, now: datetime, *, kept: timedelta) -> None:
    """Delete the records of erasures so old that no impression from before them can be merged any more."""
    await connection.execute(_FORGET, now - kept)


async def _erase_logged(connection: asyncpg.Connection, erasures: Sequence[_Erasure]) -> Counter[int]:
    """By user's hash: how many rows were deleted."""
    removed: Counter[int] = Counter()
    hashes = [erasure.user_hash for erasure in erasures]
    limits = [erasure.before_id for erasure in erasures]
    partitions = await partitions_of(connection, "impressions")
    for part in _reaching(partitions, max(limits)):
        try:
            rows = await connection.fetch(_ERASE.replace("impressions", part.name), hashes, limits)
        except asyncpg.UndefinedTableError:
            continue  # older than the retention by now, and dropped
        removed.update({row["user_hash"]: row["removed"] for row in rows})
    return removed


def _reaching(partitions: Sequence[Partition], before: UUID) -> Iterator[Partition]:
    """Those that may hold an id below `before`."""
    return (part for part in partitions if UUID(part.lower) < before)
