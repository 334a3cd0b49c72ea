"""A process whose watermark is gone, or went back: it must go on, and stop without waiting in vain."""

import logging

import pytest

from tests.support.database import Database
from tests.support.service import Service
from tests.support.waiting import until


@pytest.mark.parametrize("left_at", [None, 1], ids=["the row was removed", "a failover set it back"])
async def test_reads_go_on_when_the_primary_shows_less_than_was_forgotten(
    service: Service, database: Database, left_at: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    await service.create("often")
    for _ in range(3):
        await service.show("ani")
    await database.merge()
    pending = service.delivery.pending
    await until(lambda: pending.forgotten_through == 3, "the merged events are forgotten")

    primary = await database.primary()
    if left_at is None:
        await primary.execute("DELETE FROM buffer_watermarks")
    else:
        await primary.execute("UPDATE buffer_watermarks SET seq = $1", left_at)
    await database.caught_up()

    with caplog.at_level(logging.CRITICAL):
        assert await service.popups("ani")
    assert "where 3 had been seen" in caplog.text
    read = service.delivery.reader.stats.batches
    replica_batches = read["replica"]
    assert await service.popups("ani")
    await until(lambda: read["replica"] > replica_batches, "the replica is read again")
    assert await service.ready()

    await service.show("ani")
    assert (await database.merge()).events == 1
    await until(lambda: pending.forgotten_through == 4, "new events are forgotten as ever")


async def test_readiness_says_so_when_no_read_works(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = service.delivery.reader
    assert reader.answering
    monkeypatch.setattr("api.read.reader._ANSWERING_SECONDS", 0.5)
    for server in reader.servers:
        server.connected.clear()  # as if both were gone; the connections themselves stay
    await until(lambda: not reader.answering, "the last read is a while ago")
    async with service.client.get("/readyz") as response:
        assert response.status == 503
        assert not (await response.json())["parts"]["reads"]["ok"]
    for server in reader.servers:
        server.connected.set()
    await until(service.ready, "reads work again")
