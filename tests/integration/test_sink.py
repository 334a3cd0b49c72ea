"""The real sink: rows arrive in PostgreSQL as they were, and every failure is a failed connection."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from api.database import writer_connection
from buffer.connection import ConnectionFailedError, bounded
from buffer.contract import COLUMNS, USER_ID_MAX_CHARACTERS, VARIANT_MAX_CHARACTERS
from buffer.flusher import Flusher
from buffer.pending import PendingList
from buffer.primary import Primary
from buffer.record import make_entry
from buffer.sink import CopySink
from tests.support.buffered import NOON, Event, buffer, counts, impression_id
from tests.support.database import Database
from tests.support.rows import microseconds
from tests.support.servers import suspended
from tests.support.waiting import until

INSTANCE = 2**62 + 5
ID = bytes(range(16))


def sink_to(dsn: str, timeout_seconds: float = 5.0) -> CopySink:
    primary = Primary(dsn, timeout_seconds=timeout_seconds, stagger_seconds=0.25)
    connect = writer_connection(primary, name="flusher of a test")
    return CopySink(connect, instance=INSTANCE, timeout_seconds=timeout_seconds)


@pytest.fixture
async def sink(database: Database) -> AsyncIterator[CopySink]:
    made = sink_to(database.primary_dsn)
    yield made
    await made.close()


def nothing() -> None:
    """An `on_lost` of a test that does not care."""


def row(
    seq: int, user_id: str = "ani", variant: str = "a", occurred_at: datetime = NOON, session: int = -(2**31)
) -> bytes:
    return make_entry(
        INSTANCE,
        seq,
        impression_id=ID,
        kind=4,
        user_id=user_id,
        campaign_id=2**31 - 1,
        variant=variant,
        occurred_at_us=microseconds(occurred_at),
        session=session,
        late=True,
    ).row


async def test_a_connection_that_is_cut_between_two_steps_of_asyncpg_is_a_lost_one(
    database: Database,
) -> None:
    """A time-out, or a newer primary, may cut it at any moment."""
    connection = await asyncpg.connect(database.primary_dsn)

    async def two_steps(*, cut: bool) -> None:
        await connection.fetchval("SELECT 1")
        if cut:
            connection.terminate()
        connection._protocol.no_such_step()  # type: ignore[attr-defined]  # as asyncpg uses it

    with pytest.raises(AttributeError):
        await bounded(connection, two_steps(cut=False), seconds=5)
    with pytest.raises(ConnectionFailedError, match="was cut"):
        await bounded(connection, two_steps(cut=True), seconds=5)


async def test_rows_arrive_as_they_were_written(database: Database, sink: CopySink) -> None:
    assert await sink.open(nothing) == 0
    longest, variant = "ü" * USER_ID_MAX_CHARACTERS, "x" * VARIANT_MAX_CHARACTERS
    early = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    await sink.write([row(1), row(2, longest, variant, early), row(3, "tab\tback\\slash\"'")])

    primary = await database.primary()
    rows = await primary.fetch("SELECT * FROM impression_buffer_0 ORDER BY seq")
    assert [(each["seq"], each["user_id"], each["variant"], each["occurred_at"]) for each in rows] == [
        (1, "ani", "a", NOON),
        (2, longest, variant, early),
        (3, "tab\tback\\slash\"'", "a", NOON),
    ]
    for each in rows:
        assert (each["instance"], each["campaign_id"], each["kind"]) == (INSTANCE, 2**31 - 1, 4)
        assert each["impression_id"].bytes == ID
        assert (each["session"], each["late"]) == (-(2**31), True)


async def test_a_process_of_the_version_before_writes_what_it_knows(database: Database) -> None:
    """While processes are replaced one by one, some know neither session nor late."""
    primary = await database.primary()
    old = (1, 1, impression_id(NOON), 1, "ani", 7, "a", NOON)
    columns = COLUMNS[: len(old)]
    await primary.copy_records_to_table("impression_buffer_0", records=[old], columns=columns)
    assert columns[-1] == "occurred_at"
    await database.merge()
    row = await counts(primary, campaign_id=7)
    assert (row["total"], row["sessions"]) == (1, None)
    assert await primary.fetchval("SELECT count(*) FROM impressions WHERE NOT late") == 1


async def test_opening_tells_the_watermark_and_the_table_to_fill(database: Database, sink: CopySink) -> None:
    primary = await database.primary()
    await buffer(primary, [Event(), Event()], instance=INSTANCE)
    await buffer(primary, [Event()], instance=1, first_seq=99)
    await database.merge()
    await primary.execute("UPDATE merge_ticks SET active_buffer = 1")

    assert await sink.open(nothing) == 2
    await sink.write([row(3)])
    assert await primary.fetchval("SELECT seq FROM impression_buffer_1") == 3


async def test_a_batch_is_committed_whole_or_not_at_all(database: Database, sink: CopySink) -> None:
    await sink.open(nothing)
    with pytest.raises(ConnectionFailedError):
        await sink.write([row(1), row(2, variant="x" * (VARIANT_MAX_CHARACTERS + 1))])
    primary = await database.primary()
    assert await primary.fetchval("SELECT count(*) FROM impression_buffer") == 0


async def test_a_standby_is_no_place_to_write(database: Database) -> None:
    sink = sink_to(database.replica_dsn)
    with pytest.raises(ConnectionFailedError):
        await sink.open(nothing)
    await sink.close()


async def test_a_lost_connection_is_told_also_while_idle(database: Database, sink: CopySink) -> None:
    lost = asyncio.Event()
    await sink.open(lost.set)
    primary = await database.primary()
    await primary.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        "tayang flusher of a test",
    )
    async with asyncio.timeout(10):
        await lost.wait()
    with pytest.raises(ConnectionFailedError):
        await sink.write([row(1)])
    with pytest.raises(ConnectionFailedError):
        await sink.watermark()
    assert await sink.open(nothing) == 0, "it can be opened again"


async def test_a_server_that_hangs_is_cut_off_after_the_time_out(database: Database) -> None:
    sink = sink_to(database.primary_dsn, timeout_seconds=0.3)
    await sink.open(nothing)
    cluster = database.cluster
    async with suspended(cluster, cluster.primary), asyncio.timeout(10):
        with pytest.raises(ConnectionFailedError):
            await sink.write([row(1)])
        with pytest.raises(ConnectionFailedError):
            await sink.open(nothing)
    assert await sink.open(nothing) == 0
    await sink.close()


async def test_a_refused_copy_is_repeated_until_it_is_taken(database: Database, sink: CopySink) -> None:
    """The server refuses and the connection lives on: what is reopened must not be taken for lost."""
    primary = await database.primary()
    pending = PendingList(INSTANCE, max_rows=10, remembered_rows=10)
    flusher = Flusher(pending, sink, max_rows=10, ack_timeout_seconds=5, probe_seconds=60)
    task = asyncio.create_task(flusher.run())
    await until(lambda: flusher.stats.connected, "the flusher is connected")
    await primary.execute("ALTER TABLE impression_buffer_0 RENAME TO away")
    pending.append(
        impression_id=ID,
        kind=1,
        user_id="ani",
        campaign_id=1,
        variant="a",
        occurred_at_us=microseconds(NOON + timedelta(seconds=1)),
    )
    flusher.wake()
    await until(lambda: "impression_buffer_0" in flusher.stats.last_error, "the COPY is refused")
    await primary.execute("ALTER TABLE away RENAME TO impression_buffer_0")
    try:
        await until(lambda: pending.acked_through == 1, "the COPY is taken", seconds=5)
        assert await primary.fetchval("SELECT count(*) FROM impression_buffer_0") == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
