"""Two reads at a time: what one has seen merged, or loaded, must be right for the other that began before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from api.campaigns.catalog import Catalog
from api.read.reader import Reader, View
from api.read.server import Server
from api.read.snapshot import Snapshot
from tests.support.database import Database
from tests.support.reading import merge_on_the_primary, total
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.waiting import until

ONCE = [{"limit": 1, "window": "lifetime"}]
#: So many are worth a second query.
MANY = 8


class HeldRead:
    """The first read in which the user is asked for: its answer is there, and is told when `go` is set."""

    def __init__(self, reader: Reader, user: str, patch: pytest.MonkeyPatch) -> None:
        self.answered = asyncio.Event()
        self.go = asyncio.Event()
        self._user = user
        for server in reader.connections:
            patch.setattr(server, "snapshot", self._holding(server))

    def _holding(self, server: Server) -> Callable[..., Awaitable[Snapshot]]:
        ask = server.snapshot

        async def snapshot(users: Sequence[str], peers: Sequence[int] = ()) -> Snapshot:
            answer = await ask(users, peers)
            if self._user in users and not self.answered.is_set():
                self.answered.set()
                await self.go.wait()
            return answer

        return snapshot


async def held(service: Service, user: str, patch: pytest.MonkeyPatch) -> tuple[HeldRead, asyncio.Task[View]]:
    """A read of the user that has its snapshot, and is not answered yet."""
    reader = service.delivery.reader
    hold = HeldRead(reader, user, patch)
    reading = asyncio.create_task(reader.view(user))
    await hold.answered.wait()
    return hold, reading


async def many(service: Service, *users: str) -> list[View]:
    others = [f"user {number}" for number in range(MANY - len(users))]
    return await asyncio.gather(*map(service.delivery.reader.view, [*users, *others]))


async def test_many_are_answered_while_another_read_is_under_way(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.create("one")
    hold, reading = await held(service, "ani", monkeypatch)
    async with asyncio.timeout(10):
        assert len(await many(service)) == MANY
    assert not reading.done()
    hold.go.set()
    assert (await reading).catalog is service.delivery.reader.catalog


async def test_a_second_query_is_sent_for_many_or_after_a_heartbeat(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = service.delivery.reader
    hold, reading = await held(service, "ani", monkeypatch)
    await until(lambda: len(reader._lanes.idle) == 1, "the other one rests between heartbeats")
    (idle,) = reader._lanes.idle
    few = [reader.asked(f"user {number}") for number in range(MANY - 1)]
    assert not idle.wake.is_set(), "few are cheaper with the next one"
    async with asyncio.timeout(10):
        await asyncio.gather(*few)
    assert not reading.done(), "but they don't wait for a read that hangs"
    await until(lambda: len(reader._lanes.idle) == 1, "it rests again")
    more = [reader.asked(f"user {number}") for number in range(MANY)]
    assert idle.wake.is_set()
    hold.go.set()
    await asyncio.gather(reading, *more)


async def test_with_one_query_allowed_all_wait(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start_service(read_max_queries=1)
    assert len(service.delivery.reader.connections) == 2, "the replica's and the primary's"
    hold, reading = await held(service, "ani", monkeypatch)
    waiting = asyncio.create_task(many(service))
    await until(lambda: len(service.delivery.reader._lanes.waiting) == MANY, "they are queued")
    hold.go.set()
    async with asyncio.timeout(10):
        await asyncio.gather(reading, waiting)


async def test_what_is_seen_merged_is_kept_for_a_read_that_began_before(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await service.create("once", caps=ONCE)
    await service.show("ani")
    hold, reading = await held(service, "ani", monkeypatch)
    await database.merge()
    for view in (await many(service, "ani"))[:1]:
        assert view.pending == 0, "the other read shows it merged"
    assert len(service.delivery.pending) == 1
    hold.go.set()
    view = await reading
    seen = view.history.of(campaign)
    assert (seen and seen.total, view.pending, view.snapshot.watermark) == (1, 1, 0)
    await until(lambda: len(service.delivery.pending) == 0, "and then it is forgotten")
    assert await total(service, campaign) == 1


async def test_what_is_seen_merged_of_another_process_is_kept_as_well(
    start_service: ServiceFactory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await start_service(), await start_service()
    await until(lambda: one.delivery.exchange.peers and other.delivery.exchange.peers, "both are heard")
    campaign = await one.create("often")
    await one.show("ani")
    memory = other.delivery.exchange.memory
    await until(lambda: len(memory) == 1, "it was told")
    hold, reading = await held(other, "ani", monkeypatch)
    await database.merge()
    await many(other, "ani")
    hold.go.set()
    seen = (await reading).history.of(campaign)
    assert seen is not None
    assert seen.total == 1, "its snapshot is from before the merge"
    await until(lambda: len(memory) == 0, "and then it is forgotten")


async def test_a_read_that_ends_late_does_not_bring_back_what_was(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = service.delivery.reader
    taken: list[int] = []
    monkeypatch.setattr(reader, "_on_snapshot", lambda snapshot: taken.append(snapshot.tick))
    await service.create("one")
    await service.show("ani")
    hold, reading = await held(service, "ani", monkeypatch)
    await database.merge()
    (newer, *_) = await many(service)
    assert newer.snapshot.tick > 0
    read_at_us = reader.read_at_us
    hold.go.set()
    late = await reading
    assert late.snapshot.tick == 0
    assert reader.latest is not None
    assert reader.latest.tick >= newer.snapshot.tick
    assert reader.read_at_us >= read_at_us
    assert taken == sorted(taken)


async def test_two_reads_that_see_a_new_catalog_load_it_once(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Campaigns compiled twice would have budgets and tallies of their own."""
    reader = service.delivery.reader
    number = await service.create("moving", priority=0)
    await until(lambda: number in reader.catalog.campaigns, "it is known")
    loads = reader.catalog_loads
    loading, go = asyncio.Event(), asyncio.Event()
    versions: list[int] = []
    for server in reader.connections:
        monkeypatch.setattr(server, "catalog", _gated(server, loading, go))
        monkeypatch.setattr(server, "snapshot", _noted(server, versions))
    version = reader.catalog.version
    change = {"priority": 5, "version": 1}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with service.client.patch(
        f"/v1/admin/campaigns/{number}", json=change, headers=headers
    ) as response:
        assert response.status == 200, await response.text()
    await database.caught_up()
    async with asyncio.timeout(10):
        await loading.wait()
        views = asyncio.create_task(many(service))
        await until(lambda: any(each > version for each in versions), "the other read has seen it as well")
        go.set()
        assert {view.catalog.campaigns[number].priority for view in await views} == {5}
    await until(lambda: len(reader._lanes.idle) == 2, "the other read has ended, too")
    assert reader.catalog_loads == loads + 1


def _noted(server: Server, versions: list[int]) -> Callable[..., Awaitable[Snapshot]]:
    ask = server.snapshot

    async def snapshot(users: Sequence[str], peers: Sequence[int] = ()) -> Snapshot:
        answer = await ask(users, peers)
        if users:  # neither a heartbeat nor a look at how fresh the replica is
            versions.append(answer.version)
        return answer

    return snapshot


def _gated(server: Server, loading: asyncio.Event, go: asyncio.Event) -> Callable[..., Awaitable[Catalog]]:
    load = server.catalog

    async def catalog(previous: Catalog, *, afresh: bool = False) -> Catalog:
        loading.set()
        await go.wait()
        return await load(previous, afresh=afresh)

    return catalog


async def test_an_older_state_of_the_primary_is_no_failover(
    start_service: ServiceFactory,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both read from the primary, over the one connection that is for all."""
    service = await start_service(replica_dsn="")
    campaign = await service.create("often")
    await service.show("ani")
    hold, reading = await held(service, "ani", monkeypatch)
    await merge_on_the_primary(database)
    await service.create("another")
    await many(service, "ani")
    loads = service.delivery.reader.catalog_loads
    hold.go.set()
    seen = (await reading).history.of(campaign)
    assert seen is not None
    assert seen.total == 1
    assert service.delivery.reader.catalog_loads == loads, "what is here is newer"
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]
