"""A pause holds from the moment of its commit, however far the replica is behind."""

from typing import Any

from tests.support.database import Database
from tests.support.servers import replay_paused
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.waiting import until

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}


async def change(service: Service, key: str, **fields: Any) -> None:
    async with service.client.patch(f"/v1/admin/campaigns/{key}", json=fields, headers=ADMIN) as answer:
        assert answer.ok, await answer.text()


async def keys(service: Service) -> list[str]:
    return [popup["campaign"] for popup in await service.popups("ani")]


async def test_a_pause_is_heard_of_while_the_replica_stands_still(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(max_staleness_seconds=60.0)
    reader, exchange = service.delivery.reader, service.delivery.exchange
    await service.create("one")
    await service.create("two")
    await until(lambda: exchange.connected, "the process listens")
    await until(lambda: len(reader.catalog.campaigns) == 2, "both campaigns are known")
    async with replay_paused(database.cluster):
        version = reader.catalog.version
        await change(service, "one", status="paused")
        await until(lambda: reader.catalog.version > version, "the change is known, without any request")
        before = dict(reader.stats.batches)
        assert await keys(service) == ["two"]
        assert reader.stats.batches["replica"] > before["replica"], "counts still come from the replica"
        assert reader.latest is not None
        assert reader.latest.version == version, "which does not know of the pause"
    await database.caught_up()
    assert await keys(service) == ["two"]


async def test_without_the_primary_the_replica_answers_with_what_it_has(service: Service) -> None:
    await service.create("one")
    reader = service.delivery.reader
    reader.catalog_announced(reader.catalog.version + 1)
    assert await keys(service) == ["one"], "the primary says that there is no such version"
    reader.servers[-1]._close()
    reader.catalog_announced(reader.catalog.version + 1)
    assert await keys(service) == ["one"]


async def test_versions_that_a_failover_has_lost_are_read_afresh(
    start_service: ServiceFactory, database: Database
) -> None:
    """After it the same numbers stand for other things."""
    service = await start_service(replica_dsn="")
    number = await service.create("one")
    await change(service, "one", priority=7)
    reader = service.delivery.reader
    await until(lambda: number in reader.catalog.campaigns, "the campaign is known")
    await until(lambda: reader.catalog.campaigns[number].priority == 7, "and the change")
    primary = await database.primary()
    async with primary.transaction():
        await primary.execute("UPDATE campaigns SET priority = 9")  # the same version, as another past has it
        await primary.execute("UPDATE catalog_version SET version = version - 5")
    assert await keys(service) == ["one"]
    assert reader.catalog.campaigns[number].priority == 9
