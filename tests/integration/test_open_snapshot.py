"""While somebody holds a snapshot open, neither a read nor a merge gets dearer with each merge."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from api.database import primary_reader_connection
from api.read.snapshot import SNAPSHOT_OF_ONE
from buffer.primary import Primary
from maintenance.duty import MERGE_LOCK, statement
from maintenance.merge import TAKE_TURN_TO_MERGE, merge_once, rotate
from maintenance.partitions import bounds
from tests.support.buffered import NOON, Event, buffer
from tests.support.database import Database

_EXPLAIN = "EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, BUFFERS)"
#: Sixteen for each stripe of the sums; a page takes some hundred versions of a row.
_MERGES = 1024
#: What each merge changes.
_ADDED_TO = ("merge_ticks", "buffer_watermarks", "campaign_frequency", "campaign_daily_counts")


async def pages(connection: asyncpg.Connection, query: str, *arguments: object) -> int:
    """How many pages the statement and all that writes in it look at, all visits counted."""
    (found,) = json.loads(await connection.fetchval(f"{_EXPLAIN} {query}", *arguments))
    return sum(
        node["Shared Hit Blocks"] + node["Shared Read Blocks"]
        for node in _nodes(found["Plan"])
        # What is written in a CTE is not among the pages of the node above it.
        if node is found["Plan"] or node["Node Type"] == "ModifyTable"
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


async def pages_of_a_snapshot(database: Database) -> int:
    reader = Primary(database.primary_dsn, timeout_seconds=5.0, stagger_seconds=1.0)
    connection = await primary_reader_connection(reader, name="test")()
    try:
        return await pages(connection, SNAPSHOT_OF_ONE, 1, None, [2, 3])
    finally:
        await connection.close()


async def buffer_one_of_each(primary: asyncpg.Connection, seq: int) -> None:
    for instance in (1, 2, 3):
        await buffer(primary, [Event(f"u{seq}")], instance=instance, first_seq=seq)


async def pages_of_a_merge(primary: asyncpg.Connection, seq: int) -> int:
    """Of the merge that `seq` of each instance is due for."""
    for _ in range(2):
        await rotate(primary, min_bytes=1)  # merged rows are out of the way
    await buffer_one_of_each(primary, seq)
    limits = await bounds(primary)
    async with primary.transaction():
        await primary.execute(TAKE_TURN_TO_MERGE, MERGE_LOCK)
        return await pages(primary, statement("merge"), 50_000, limits.ids, limits.midnights, NOON)


async def merges(primary: asyncpg.Connection, number: int, *, after: int) -> None:
    for seq in range(after + 1, after + number + 1):
        await buffer_one_of_each(primary, seq)
        await merge_once(primary, NOON)


@pytest.fixture
async def primary(database: Database) -> asyncpg.Connection:
    return await database.primary()


async def test_reads_and_merges_stay_as_they_were(database: Database, primary: asyncpg.Connection) -> None:
    await merges(primary, 64, after=0)  # every stripe has its rows
    read_before = await pages_of_a_snapshot(database)
    merged_before = await pages_of_a_merge(primary, 65)
    report = await asyncpg.connect(database.primary_dsn)
    try:
        async with report.transaction(isolation="repeatable_read"):
            await report.fetchval("SELECT count(*) FROM merge_ticks")
            await merges(primary, _MERGES, after=65)
            # With the statistics that plans are made by after a minute.
            await primary.execute(f"VACUUM (ANALYZE) {', '.join(_ADDED_TO)}")
            read_after = await pages_of_a_snapshot(database)
            merged_after = await pages_of_a_merge(primary, 66 + _MERGES)
    finally:
        await report.close()
    assert read_after <= read_before + 8  # the keys may have grown a level each
    assert merged_after <= merged_before + 80
