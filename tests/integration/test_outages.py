"""Outages: popups come from whichever server there is, caps exact (I3); or a 503 says when to come back."""

import time

from tests.support.database import Database
from tests.support.reading import answering, batches, keys, merge_on_the_primary
from tests.support.servers import replay_paused, resume_replay, suspended, without
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.waiting import until

INSTANCE = 5
TWICE = [{"limit": 2, "window": "24h"}]


async def test_without_the_replica_popups_come_from_the_primary_and_then_from_the_replica_again(
    service: Service, database: Database
) -> None:
    cluster = database.cluster
    await service.create("twice", caps=TWICE)
    await service.show("ani")
    async with without(cluster, cluster.replica):
        before = batches(service, "primary")
        assert await service.show("ani") == "twice"
        assert await keys(service) == [], "the cap holds"
        assert await keys(service, "budi") == ["twice"]
        assert batches(service, "primary") > before
        await merge_on_the_primary(database)
        assert await keys(service) == []
    count = batches(service, "replica")
    await until(lambda: batches(service, "replica") > count, "the replica is used again")
    assert await keys(service) == []


async def test_a_stale_replica_is_left_and_taken_back_with_caps_exact_all_along(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(max_staleness_seconds=0.3)
    await service.create("thrice", caps=[{"limit": 3, "window": "24h"}])
    await service.show("ani")
    freshness, (replica, _) = service.delivery.freshness, service.delivery.reader.servers
    async with replay_paused(database.cluster):
        await merge_on_the_primary(database)
        await service.show("ani")
        await until(lambda: freshness.stale(replica), "the replica is found too old")
        before = batches(service, "primary")
        await until(lambda: batches(service, "primary") > before, "the primary is read")
        assert len(service.delivery.pending) == 1, "what the primary shows merged is forgotten"
        assert await service.show("ani") == "thrice"
        assert await keys(service) == []
        await merge_on_the_primary(database)
        assert await keys(service) == []
        resume_replay(database.cluster)
        await until(lambda: not freshness.stale(replica), "the replica is found fresh again")
        count = batches(service, "replica")
        await until(lambda: batches(service, "replica") > count, "the replica is read again")
        assert await keys(service) == []


async def test_an_idle_service_with_a_running_replica_is_fresh(start_service: ServiceFactory) -> None:
    """Nothing is written and nothing is merged: the replica's last transaction is old, the replica is not."""
    service = await start_service(max_staleness_seconds=0.0)
    freshness, (replica, _) = service.delivery.freshness, service.delivery.reader.servers
    verdict = freshness._verdicts[replica.name]
    first = await until(lambda: verdict.fresh_at, "it was checked")
    await until(lambda: (verdict.fresh_at or 0) > first, "and again")
    assert not freshness.stale(replica)


async def test_without_any_server_it_answers_503_and_comes_back(
    start_service: ServiceFactory, database: Database
) -> None:
    cluster = database.cluster
    service = await start_service(ack_timeout_seconds=0.2)
    await service.create("twice", caps=TWICE)
    token = (await service.popups("ani"))[0]["token"]
    async with without(cluster, cluster.replica, cluster.primary):
        await until(
            lambda: not any(server.usable for server in service.delivery.reader.servers),
            "both connections are gone",
        )
        async with service.client.get("/v1/popups?placement=home", headers=bearer("ani")) as response:
            assert (response.status, response.content_type) == (503, "application/problem+json")
            assert int(response.headers["Retry-After"]) >= 1
            document = await response.json(content_type=None)
            assert document["code"] == "unavailable"
        status, document = await service.post("ani", {"token": token})
        assert (status, document["code"]) == (503, "ack_timeout")
        async with service.client.get("/healthz") as response:
            assert response.status == 200
    await until(lambda: answering(service), "popups are served again")
    await until(lambda: service.delivery.flusher.stats.connected, "the flusher is connected again")
    assert (await service.post("ani", {"token": token}))[0] == 202, "the same event, sent again"
    await database.merge()
    assert await service.show("ani") == "twice"
    assert await keys(service) == [], "the event that was answered with 503 counts once"


async def test_servers_that_hang_cost_a_time_out_and_no_more(
    start_service: ServiceFactory, database: Database
) -> None:
    cluster = database.cluster
    service = await start_service(read_timeout_seconds=0.3, database_timeout_seconds=0.5)
    await service.create("one")
    async with suspended(cluster, cluster.replica, cluster.primary):
        for _ in range(3):
            started = time.perf_counter()
            status, document = await service.get_popups("ani")
            assert (status, document["code"]) == (503, "unavailable")
            assert time.perf_counter() - started < 3
    await until(lambda: answering(service), "popups are served again")
    assert await keys(service) == ["one"]


async def test_a_replica_that_hangs_is_replaced_by_the_primary(
    start_service: ServiceFactory, database: Database
) -> None:
    cluster = database.cluster
    service = await start_service(read_timeout_seconds=0.3, database_timeout_seconds=0.5)
    await service.create("one")
    async with suspended(cluster, cluster.replica):
        assert await keys(service) == ["one"]
        assert await keys(service, "budi") == ["one"]
    count = batches(service, "replica")
    await until(lambda: batches(service, "replica") > count, "the replica is used again")


async def test_without_a_replica_in_the_settings_everything_comes_from_the_primary(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(replica_dsn="")
    await service.create("twice", caps=TWICE)
    await service.show("ani")
    await database.merge()
    await service.show("ani")
    assert await keys(service) == []
    assert set(service.delivery.reader.stats.batches) == {"primary"}
