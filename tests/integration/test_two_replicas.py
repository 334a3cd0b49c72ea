"""Two replicas at different positions: counts are exact from each (I3), nothing is forgotten early (I6)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from api.read.server import Server
from tayang.embedded import Node
from tests.support.database import Database
from tests.support.reading import batches, keys, merge_on_the_primary, total
from tests.support.second_replica import second_replica
from tests.support.servers import several_hosts
from tests.support.service import Service, ServiceFactory
from tests.support.waiting import until

FIVE_TIMES = [{"limit": 5, "window": "24h"}]


@pytest.fixture
async def second(database: Database) -> AsyncIterator[Node]:
    async with second_replica(database.cluster) as node:
        await until(lambda: has(node, database), "the second replica has the test's database")
        yield node


@pytest.fixture
async def service(start_service: ServiceFactory, database: Database, second: Node) -> Service:
    return await start_service(replica_dsn=both(database, second), max_staleness_seconds=60.0)


def both(database: Database, second: Node) -> str:
    return several_hosts(database.cluster, database.name, database.cluster.replica.port, second.port)


def has(node: Node, database: Database) -> bool:
    try:
        node.connect(database.name).close()
    except psycopg.OperationalError:
        return False
    return True


@asynccontextmanager
async def paused(node: Node) -> AsyncIterator[None]:
    """The replica answers, and stays in the past."""
    with node.connect("postgres") as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        state = "SELECT pg_get_wal_replay_pause_state()"
        await until(lambda: connection.execute(state).fetchone() == ("paused",), "the replay is paused")
    yield
    if node.running():
        with node.connect("postgres") as connection:
            connection.execute("SELECT pg_wal_replay_resume()")


def server(service: Service, name: str) -> Server:
    return next(each for each in service.delivery.reader.servers if each.name == name)


async def read_by(service: Service, name: str) -> None:
    count = batches(service, name)
    await until(lambda: batches(service, name) > count, f"{name} is read")


async def test_the_other_replica_takes_over_though_it_is_behind(
    service: Service, database: Database, second: Node
) -> None:
    """What the first shows merged and the second does not is still pending: the overlay adds it."""
    replica = database.cluster.replica
    campaign = await service.create("five", caps=FIVE_TIMES)
    await service.show("ani")
    await database.merge()
    await read_by(service, "replica 1")
    await until(lambda: not len(service.delivery.pending), "both show the first one merged")
    async with paused(second):
        for _ in range(3):
            await service.show("ani")
        await merge_on_the_primary(database)
        await until(lambda: server(service, "replica 1").watermark == 4, "the first replica shows all merged")
        assert await total(service, campaign) == 4
        assert len(service.delivery.pending) == 3, "the second replica does not show them yet"
        replica.stop()
        try:
            count = batches(service, "replica 2"), batches(service, "primary")
            assert await total(service, campaign) == 4
            await service.show("ani")
            assert await keys(service) == []
            assert batches(service, "replica 2") > count[0]
            assert batches(service, "primary") == count[1]
        finally:
            replica.start()
    await database.merge()
    assert await total(service, campaign) == 5
    await until(lambda: not len(service.delivery.pending), "both show all merged")


async def test_the_other_replica_takes_over_ahead(service: Service, database: Database) -> None:
    """The second shows merged what the first does not: it is not counted again by the overlay."""
    replica = database.cluster.replica
    campaign = await service.create("five", caps=FIVE_TIMES)
    await read_by(service, "replica 1")
    async with paused(replica):
        for _ in range(5):
            await service.show("ani")
        await merge_on_the_primary(database)
        await until(lambda: server(service, "replica 2").watermark == 5, "the second shows all merged")
        assert await total(service, campaign) == 5, "from the first, all by the overlay"
        assert len(service.delivery.pending) == 5
        replica.stop()
        assert await total(service, campaign) == 5, "from the second, none by the overlay"
        await until(lambda: not len(service.delivery.pending), "the only replica in use shows all merged")
        assert await total(service, campaign) == 5
    replica.start()
    await read_by(service, "replica 1")
    assert await total(service, campaign) == 5


async def test_only_the_replica_that_is_behind_is_passed_over(
    start_service: ServiceFactory, database: Database, second: Node
) -> None:
    service = await start_service(replica_dsn=both(database, second), max_staleness_seconds=0.3)
    campaign = await service.create("five", caps=FIVE_TIMES)
    freshness = service.delivery.freshness
    await service.show("ani")
    async with paused(database.cluster.replica):
        await merge_on_the_primary(database)
        await until(lambda: freshness.stale(server(service, "replica 1")), "the first is found too old")
        await read_by(service, "replica 2")
        assert not freshness.stale(server(service, "replica 2"))
        assert await total(service, campaign) == 1
        await until(lambda: not len(service.delivery.pending), "the one that is not in use is not waited for")
    await until(lambda: not freshness.stale(server(service, "replica 1")), "it is found fresh again")
    await read_by(service, "replica 1")


async def test_each_worker_prefers_another_replica(
    start_service: ServiceFactory, database: Database, second: Node
) -> None:
    dsn = both(database, second)
    for worker in range(3):
        service = await start_service(replica_dsn=dsn, worker=worker)
        servers = [each.name for each in service.delivery.reader.servers]
        expected = ["replica 1", "replica 2"] if worker % 2 == 0 else ["replica 2", "replica 1"]
        assert servers == [*expected, "primary"]
        await read_by(service, expected[0])
        async with service.client.get("/metrics") as response:
            text = await response.text()
        assert f'tayang_read_batches_total{{server="{expected[0]}",worker="{worker}"}}' in text
