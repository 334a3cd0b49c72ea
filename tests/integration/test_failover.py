"""Failover under load: the primary dies or hangs, the replica is promoted, and nobody restarts anything."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.background import background
from maintenance.loop import maintain
from maintenance.merge import merge_all
from maintenance.settings import MaintenanceConfig
from tayang.embedded.cluster import PrimaryEnd
from tests.support.database import Database
from tests.support.reading import answering, batches
from tests.support.servers import rejoined, several_hosts
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.tokens import SIGNER, token
from tests.support.traces import traces_in
from tests.support.waiting import until

PHONES = 4
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture
async def dsn(database: Database) -> str:
    """Both servers, the primary first."""
    cluster = database.cluster
    return several_hosts(cluster, database.name, cluster.primary.port, cluster.replica.port)


@pytest.fixture
async def everywhere(start_service: ServiceFactory, dsn: str) -> Service:
    """A service that knows both servers, for writing and for reading."""
    return await start_service(
        primary_dsn=dsn,
        replica_dsn=dsn,
        database_timeout_seconds=3.0,
        read_timeout_seconds=2.0,
    )


@asynccontextmanager
async def maintained(dsn: str) -> AsyncIterator[None]:
    """`tayang maintain`, with both hosts."""
    config = MaintenanceConfig(
        primary_dsn=dsn,
        merge_interval_seconds=0.05,
        database_timeout_seconds=3.0,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(maintain(config, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


class Ledger:
    """What apps have sent, and what of it was answered with 202."""

    def __init__(self, service: Service) -> None:
        self.sent: set[UUID] = set()
        self.acknowledged: set[UUID] = set()
        self.reads = 0
        self._service = service

    async def phone(self, user: str) -> None:
        """One impression after the other, each sent again until it is accepted."""
        while True:
            signed = token(user)
            impression = UUID(bytes=SIGNER.verify(signed).impression_id)
            self.sent.add(impression)
            while (await self._service.post(user, {"token": signed}))[0] != 202:
                pass
            self.acknowledged.add(impression)

    async def reader(self) -> None:
        """Popups, again and again: each answer must be one."""
        while True:
            status, document = await self._service.get_popups("a reader")
            assert status == 200, document
            self.reads += 1

    async def reached(self, more: int) -> None:
        goal = len(self.acknowledged) + more
        await until(lambda: len(self.acknowledged) >= goal, f"{more} more are acknowledged")


async def logged(database: Database) -> list[UUID]:
    primary = await database.primary()
    rows = await primary.fetch("SELECT impression_id FROM impressions")
    return [UUID(int=row["impression_id"].int) for row in rows]


@pytest.mark.parametrize("end", ["kill", "stop", "suspend"])
async def test_writes_go_on_at_the_new_primary_and_reads_all_along(
    everywhere: Service, database: Database, dsn: str, end: PrimaryEnd
) -> None:
    """Nothing acknowledged is lost, nothing doubled; it is `maintain` that merges, before and after."""
    service, cluster = everywhere, database.cluster
    await service.create("often")
    ledger = Ledger(service)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(rejoined(cluster))
        await stack.enter_async_context(maintained(dsn))
        load = await stack.enter_async_context(AsyncExitStack())
        for number in range(PHONES):
            await load.enter_async_context(background(f"phone {number}", ledger.phone(f"user {number}")))
        reading = asyncio.create_task(ledger.reader())
        load.callback(reading.cancel)
        await ledger.reached(50)
        await until(lambda: logged(database), "the old primary merges")

        await asyncio.to_thread(cluster.fail_over, end)
        reads = ledger.reads
        await ledger.reached(50)
        await until(lambda: ledger.reads > reads, "popups are read")
        assert not reading.done(), "a read has failed"
        await load.aclose()

        pending = service.delivery.pending
        await until(lambda: pending.acked_through == pending.last_seq, "all is flushed")
        await until(lambda: not len(pending), "what the new primary shows merged is forgotten")
        found = await logged(database)
        assert len(found) == len(set(found))
        assert ledger.acknowledged <= set(found) <= ledger.sent
        primary = await database.primary()
        assert await primary.fetchval("SELECT sum(total) FROM user_campaign_counts") == len(found)
        assert service.delivery.flusher.stats.reconnects >= 2


async def test_an_erased_user_does_not_come_back_with_the_new_primary(
    everywhere: Service, database: Database
) -> None:
    """What nobody had merged is sent to it again."""
    service, cluster = everywhere, database.cluster
    async with rejoined(cluster):
        for user in ("erased-4b7e", "budi"):
            assert (await service.post(user, {"token": token(user)}))[0] == 202
        async with service.client.delete("/v1/admin/users/erased-4b7e", headers=ADMIN) as response:
            assert response.status == 202, await response.text()
        await database.caught_up()
        await asyncio.to_thread(cluster.fail_over, "kill")
        flusher = service.delivery.flusher
        await until(lambda: flusher.stats.rows_copied == 4, "both are stored again")
        await database.close()
        primary = await database.primary()
        merged = await merge_all(primary, datetime.now(UTC))
        assert (merged.erased, merged.events) == (1, 1)
        assert await traces_in(primary, "erased-4b7e") == {}


@pytest.mark.parametrize("end", ["kill", "suspend"])
async def test_the_admin_api_recovers_and_never_answers_500(
    everywhere: Service, database: Database, end: PrimaryEnd
) -> None:
    cluster = database.cluster
    statuses: list[int] = []

    async def listed() -> bool:
        async with everywhere.client.get("/v1/admin/campaigns", headers=ADMIN) as response:
            statuses.append(response.status)
            assert response.status != 503 or int(response.headers["Retry-After"]) >= 1
            return response.status == 200

    async def listed_without_a_primary() -> bool:
        return not await listed()

    async with rejoined(cluster):
        assert await asyncio.gather(*[listed() for _ in range(4)]) == [True] * 4  # the pool is full
        failing_over = asyncio.create_task(asyncio.to_thread(cluster.fail_over, end))
        await until(listed_without_a_primary, "there is no primary")
        await failing_over
        await until(listed, "the admin API answers")
        assert set(statuses) == {200, 503}
        created = await everywhere.client.post(
            "/v1/admin/campaigns",
            headers=ADMIN,
            json={
                "key": "after",
                "name": "after",
                "placement": "home",
                "variants": [{"key": "a", "weight": 1, "content": {"title": "after"}}],
            },
        )
        assert created.status == 201, await created.text()


async def test_an_old_primary_that_comes_back_gets_nothing(
    everywhere: Service, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service, cluster = everywhere, database.cluster
    await service.create("often")
    async with rejoined(cluster):
        old, new = cluster.primary, cluster.replica
        await asyncio.to_thread(cluster.fail_over, "kill")
        old.start()
        await until(service.ready, "writes go on")
        with caplog.at_level(logging.CRITICAL), new.connect(database.name) as connection:
            # Everything has to connect again, and the old primary is the first in the DSN.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'tayang %' AND datname = current_database()"
            )
            reconnects = service.delivery.flusher.stats.reconnects
            await until(
                lambda: service.delivery.flusher.stats.reconnects > reconnects, "it is connected again"
            )
            await until(lambda: answering(service), "popups are served")
            await service.show("ani")
            await until(lambda: "stop that server" in caplog.text, "it is said")
        with old.connect(database.name) as connection:
            assert connection.execute("SELECT count(*) FROM impression_buffer").fetchone() == (0,)
            backends = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tayang %'"
            await until(
                lambda: connection.execute(backends).fetchone() == (0,), "nobody stays on the old primary"
            )
        assert (await merge_all(await database.primary(), datetime.now(UTC))).events == 1


async def test_a_server_that_becomes_the_replica_is_read_again(
    everywhere: Service, database: Database
) -> None:
    """Both DSNs name both servers; whichever is the replica does the reading."""
    service, cluster = everywhere, database.cluster
    await service.create("often")

    async def used(server: str) -> None:
        count = batches(service, server)
        await until(lambda: batches(service, server) > count, f"{server} is read")
        others = {"replica 1", "replica 2", "primary"} - {server}
        before = {name: batches(service, name) for name in others}
        assert await service.popups("ani")
        assert {name: batches(service, name) for name in others} == before

    await used("replica 2")
    async with rejoined(cluster):
        await asyncio.to_thread(cluster.fail_over, "kill")
        assert await service.popups("ani")
    await used("replica 1")
