"""I1: nothing acknowledged is lost when PostgreSQL crashes and empties the UNLOGGED buffer."""

import asyncio
from uuid import UUID

import pytest

from buffer.pending import PendingList
from tests.support.database import Database
from tests.support.servers import crash_a_backend, streaming
from tests.support.service import Service
from tests.support.tokens import SIGNER, token
from tests.support.waiting import until

EVENTS = 60


def identity(signed: str) -> UUID:
    return UUID(bytes=SIGNER.verify(signed).impression_id)


async def acknowledged(service: Service, count: int, user: str = "ani") -> set[UUID]:
    """Impressions of which each was answered with 202."""
    tokens = [token(user) for _ in range(count)]
    status, document = await service.post(user, {"impressions": [{"token": each} for each in tokens]})
    assert (status, document["accepted"]) == (202, count)
    return {identity(each) for each in tokens}


async def logged(database: Database) -> set[UUID]:
    """What the log holds after a merge; each counted once."""
    await database.merge()
    primary = await database.primary()
    rows = await primary.fetch("SELECT impression_id FROM impressions")
    assert await primary.fetchval("SELECT sum(total) FROM user_campaign_counts") == (len(rows) or None)
    return {UUID(int=row["impression_id"].int) for row in rows}


async def buffered(database: Database) -> int:
    await database.close()  # connections that a crash has cut
    primary = await database.primary()
    return int(await primary.fetchval("SELECT count(*) FROM impression_buffer"))


async def sent_again(service: Service) -> None:
    stats = service.delivery.flusher.stats
    await until(lambda: stats.connected and stats.reconnects >= 2, "the flusher is connected again")
    pending = service.delivery.pending
    await until(lambda: pending.sent_through == pending.last_seq, "everything is sent again")


async def test_a_killed_backend_loses_nothing_that_was_acknowledged(
    service: Service, database: Database
) -> None:
    """The flusher is idle when it happens: it notices by itself."""
    sent = await acknowledged(service, EVENTS)
    await crash_a_backend(database.cluster)
    await sent_again(service)
    assert service.delivery.flusher.stats.rows_sent_again == EVENTS
    await until(lambda: service.delivery.flusher.stats.rows_copied == 2 * EVENTS, "they are committed")
    assert await logged(database) == sent


async def test_without_the_rewind_acknowledged_events_are_lost(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that these tests can see a loss: the crash does empty the buffer."""

    def keep_everything_as_sent(pending: PendingList, _watermark: int) -> int:
        pending.sent_through = pending.last_seq
        return 0

    monkeypatch.setattr(PendingList, "rewind", keep_everything_as_sent)
    sent = await acknowledged(service, EVENTS)
    assert await buffered(database) == EVENTS
    await crash_a_backend(database.cluster)
    await until(lambda: service.delivery.flusher.stats.reconnects >= 2, "the flusher is connected again")
    assert await buffered(database) == 0
    later = await acknowledged(service, 1)
    found = await logged(database)
    assert found == later, "all that came before the crash is gone"
    assert not found & sent


async def test_only_what_was_not_merged_is_sent_again(service: Service, database: Database) -> None:
    merged = await acknowledged(service, EVENTS)
    await database.merge()
    unmerged = await acknowledged(service, 5)
    await crash_a_backend(database.cluster)
    await sent_again(service)
    assert service.delivery.flusher.stats.rows_sent_again == 5
    await until(lambda: service.delivery.flusher.stats.rows_copied == EVENTS + 10, "they are committed")
    await database.close()
    assert await logged(database) == merged | unmerged


async def test_events_that_come_during_crashes_are_all_counted_once(
    service: Service, database: Database
) -> None:
    """Two crashes, a merge after each, and requests all along; an app sends again what got a 503."""
    stop = asyncio.Event()
    known: set[UUID] = set()

    async def phone(user: str) -> None:
        while not stop.is_set():
            signed = token(user)
            while (await service.post(user, {"token": signed}))[0] != 202:
                assert not stop.is_set()
            known.add(identity(signed))
            await until(lambda: service.delivery.pending.room_for({b"new"}), "there is room")

    phones = [asyncio.create_task(phone(f"user {n}")) for n in range(4)]
    for _ in range(2):
        reached = len(known) + 50
        await until(lambda reached=reached: len(known) >= reached, "events have come")  # type: ignore[misc]
        await crash_a_backend(database.cluster)
        await database.close()
        await database.merge()
    stop.set()
    await asyncio.gather(*phones)
    await until(
        lambda: service.delivery.pending.acked_through == service.delivery.pending.last_seq, "all is flushed"
    )
    assert service.delivery.flusher.stats.reconnects >= 3
    assert known <= await logged(database)
    assert len(await logged(database)) == service.delivery.pending.last_seq


async def test_a_primary_that_is_killed_whole_and_started_again(service: Service, database: Database) -> None:
    cluster = database.cluster
    await service.create("many")
    sent = await acknowledged(service, EVENTS)
    cluster.primary.kill()
    try:
        waiting = asyncio.create_task(acknowledged(service, 3))
        assert [popup["campaign"] for popup in await service.popups("ani")] == ["many"], "reads go on"
    finally:
        cluster.primary.start()
        await streaming(cluster)
    sent |= await waiting
    await sent_again(service)
    await until(
        lambda: service.delivery.pending.acked_through == service.delivery.pending.last_seq, "all is flushed"
    )
    await until(lambda: service.delivery.flusher.stats.rows_copied >= 2 * EVENTS + 3, "they are committed")
    await database.close()
    assert await logged(database) == sent
