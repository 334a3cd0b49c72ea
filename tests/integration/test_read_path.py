"""Reading: exact caps whichever server answers (I3), a catalog that is never staler, and every outage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from api.background import background
from api.campaigns.catalog import Catalog
from api.database import replica_connection
from api.read.server import Server
from api.read.snapshot import Snapshot
from buffer.connection import ConnectionFailedError
from buffer.fence import Fence
from buffer.hosts import split_hosts
from tests.support.buffered import Event, buffer
from tests.support.database import Database
from tests.support.reading import batches, keys, merge_on_the_primary, total
from tests.support.servers import crash_a_backend, replay_paused
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.waiting import until

INSTANCE = 5
TWICE = [{"limit": 2, "window": "24h"}]


@asynccontextmanager
async def connected(dsn: str, *, timeout_seconds: float = 5.0) -> AsyncIterator[Server]:
    server = Server(
        "server",
        replica_connection(split_hosts(dsn)[0], Fence(), name="reader of a test", timeout_seconds=5.0),
        instance=INSTANCE,
        timeout_seconds=timeout_seconds,
        connect_seconds=5.0,
    )
    async with background("server", server.run()):
        async with asyncio.timeout(10):
            await server.connected.wait()
        yield server


# One snapshot.


async def test_a_snapshot_holds_what_each_user_has_seen_in_the_order_of_asking(database: Database) -> None:
    now = datetime.now(UTC)
    primary = await database.primary()
    times = [now - timedelta(seconds=n) for n in (1, 5, 3)]
    events = [Event("ani", 7, occurred_at=each) for each in times]
    events += [Event("ani", 8, kind=2), *[Event("budi", 7, occurred_at=now)] * 2]
    await buffer(primary, events, instance=INSTANCE)
    await primary.executemany(
        "INSERT INTO audience_members VALUES ($1, $2)", [("ani", 3), ("ani", 4), ("citra", 5)]
    )
    await database.merge()

    for dsn in (database.primary_dsn, database.replica_dsn):
        async with connected(dsn) as server:
            snapshot = await server.snapshot(["budi", "nobody", "ani", "citra", "ani"])
            nothing = await server.snapshot(())
        budi, nobody, ani, citra, again = (snapshot.history(index) for index in range(5))
        assert (snapshot.watermark, server.watermark, nothing.watermark) == (6, 6, 6)
        assert (snapshot.version, snapshot.active_buffer) == (nothing.version, 0)
        seen = ani.of(7)
        assert seen is not None
        assert (seen.total, len(seen.recent_us)) == (3, 3)
        assert seen.recent_us == [int(each.timestamp() * 1e6 + 0.5) for each in sorted(times, reverse=True)]
        clicked = ani.of(8)
        assert clicked is not None
        assert (clicked.total, clicked.recent_us) == (0, [])
        seen_by_budi = budi.of(7)
        assert seen_by_budi is not None
        assert seen_by_budi.total == 1
        assert nobody.of(7) is None
        assert sorted(ani.listed) == sorted(again.listed) == [3, 4]
        assert list(citra.listed) == [5]
        assert list(nobody.listed) == []


async def test_a_primary_that_has_recovered_from_a_crash_is_told_from_a_replica(database: Database) -> None:
    """pg_last_wal_replay_lsn() stays where crash recovery, or a promotion, has left it."""
    await crash_a_backend(database.cluster)
    async with connected(database.primary_dsn) as primary, connected(database.replica_dsn) as replica:
        assert (await primary.snapshot(())).replayed is None
        assert (await replica.snapshot(())).replayed is not None
        assert primary.replayed > replica.replayed


async def test_after_a_new_connection_the_server_has_shown_nothing_as_merged(database: Database) -> None:
    """Another server may be behind it, which lacks what the one before has shown."""
    await buffer(await database.primary(), [Event("ani", 7)], instance=INSTANCE)
    await database.merge()
    async with connected(database.primary_dsn) as server:
        await server.snapshot(())
        assert (server.watermark, server.openings) == (1, 1)
        await crash_a_backend(database.cluster)
        await until(lambda: server.openings == 2, "it is connected again")
        assert server.watermark == 0
        await server.snapshot(())
        assert server.watermark == 1


async def test_concurrent_requests_share_a_query(service: Service) -> None:
    await service.create("one")
    reader = service.delivery.reader
    before, users = batches(service, "replica"), reader.stats.users
    views = await asyncio.gather(*(reader.view(f"user {n}") for n in range(300)))
    assert len(views) == 300
    assert reader.stats.users == users + 300
    assert batches(service, "replica") - before <= 3


async def test_who_asks_again_and_again_is_read_in_two_halves(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one half's answers are made while the other is read, and few are not divided."""
    await service.create("one")
    reader = service.delivery.reader
    sizes: list[int] = []
    for server in reader.servers:
        monkeypatch.setattr(server, "snapshot", noting(sizes, server.snapshot))

    async def ask(user_id: str) -> None:
        for _ in range(10):
            await reader.view(user_id)

    await asyncio.gather(*(ask(f"user {n}") for n in range(64)))
    assert [size for size in sizes if size] == [32] * 20
    sizes.clear()
    await asyncio.gather(*(reader.view(f"user {n}") for n in range(8)))
    assert [size for size in sizes if size] == [8]


def noting(
    sizes: list[int], snapshot: Callable[..., Awaitable[Snapshot]]
) -> Callable[..., Awaitable[Snapshot]]:
    async def noted(users: Sequence[str], *others: Sequence[int]) -> Snapshot:
        sizes.append(len(users))
        return await snapshot(users, *others)

    return noted


async def test_a_full_read_queue_refuses_at_once(start_service: ServiceFactory) -> None:
    service = await start_service(read_queue_max_requests=3)
    await service.create("one")
    answers = await asyncio.gather(
        *(service.delivery.reader.view("ani") for _ in range(10)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert {str(each).partition(":")[0] for each in refused} == {"read_busy"}
    assert len(refused) == 7
    assert await keys(service) == ["one"], "and then it goes on"


# I3: counts + overlay.


async def test_the_overlay_counts_only_what_the_snapshot_does_not_show(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await service.create("many")
    for expected in (1, 2):
        await service.show("ani")
        assert await total(service, campaign) == expected
    # From here on the list keeps what is merged: only the watermark can keep it from counting twice.
    monkeypatch.setattr(service.delivery.pending, "forget_through", lambda _watermark: None)
    await database.merge()
    assert await total(service, campaign) == 2
    await service.show("ani")
    assert len(service.delivery.pending) == 3
    assert await total(service, campaign) == 3, "two from the snapshot, one from the list"


async def test_what_is_merged_is_forgotten_without_any_request(service: Service, database: Database) -> None:
    campaign = await service.create("many")
    await service.show("ani")
    await database.merge()
    await until(lambda: len(service.delivery.pending) == 0, "an idle process sees the merge")
    assert await total(service, campaign) == 1


async def test_a_snapshot_older_than_what_was_forgotten_is_not_used(
    service: Service, database: Database
) -> None:
    """The list has forgotten an event that the replica does not show yet: counting there would be too low."""
    await service.create("twice", caps=TWICE)
    await service.show("ani")
    await service.show("ani")
    async with replay_paused(database.cluster):
        await merge_on_the_primary(database)
        service.delivery.pending.forget_through(2)
        before = batches(service, "primary")
        assert await keys(service) == [], "the primary knows"
        assert batches(service, "primary") > before
        assert service.delivery.reader.stats.unusable_snapshots > 0
    await database.caught_up()
    count = batches(service, "replica")
    assert await keys(service) == []
    await until(lambda: batches(service, "replica") > count, "the replica is used again")


# The catalog.


async def test_the_catalog_is_never_staler_than_the_server_that_answered(
    service: Service, database: Database
) -> None:
    number = await service.create("moving", priority=0)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    stop = asyncio.Event()
    seen = []

    async def read() -> None:
        while not stop.is_set():
            view = await service.delivery.reader.view("ani")
            seen.append(
                (view.snapshot.version, view.catalog.version, view.catalog.campaigns[number].priority)
            )

    reading = asyncio.create_task(read())
    for version in range(1, 21):
        body = {"priority": version, "version": version}
        url = f"/v1/admin/campaigns/{number}"
        async with service.client.patch(url, json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
    await database.caught_up()
    stop.set()
    await reading

    view = await service.delivery.reader.view("ani")
    assert view.catalog.campaigns[number].priority == 20
    assert all(snapshot <= catalog for snapshot, catalog, _ in seen)
    first = seen[0][1] - seen[0][2]
    assert all(catalog - priority == first for _, catalog, priority in seen), "version and content fit"
    assert len({catalog for _, catalog, _ in seen}) > 3, "it moved while it was read"


async def test_the_catalog_and_its_version_come_in_one_snapshot(database: Database) -> None:
    async with connected(database.replica_dsn) as server:
        catalog = await server.catalog(Catalog())
        assert catalog.campaigns == {}
        assert catalog.version == (await server.snapshot(())).version


# Conflicts with replay.

_SLOW_ONCE = """
CREATE FUNCTION slow_once() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) THEN
        PERFORM pg_advisory_lock(42);
        PERFORM pg_sleep(30);
    END IF;
    RETURN true;
END $$;
ALTER TABLE merge_ticks RENAME TO ticks;
CREATE VIEW merge_ticks AS SELECT * FROM ticks WHERE slow_once();
"""


async def test_a_query_in_the_way_of_replay_is_asked_again(database: Database) -> None:
    """The replica cancels it after max_standby_streaming_delay; what is asked again is not slow."""
    primary = await database.primary()
    await primary.execute(_SLOW_ONCE)
    await database.caught_up()
    async with connected(database.replica_dsn, timeout_seconds=20) as server:
        asking = asyncio.create_task(server.snapshot(["ani"]))
        replica = await database.replica()

        async def sleeps() -> bool:
            query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"
            return bool(await replica.fetchval(query))

        await until(sleeps, "the query is under way")
        async with primary.transaction():
            await primary.execute("LOCK TABLE catalog_version IN ACCESS EXCLUSIVE MODE")  # replayed
        async with asyncio.timeout(15):
            assert (await asking).watermark == 0
        assert server.usable


async def test_a_server_that_cancels_twice_is_given_up_for_this_batch(database: Database) -> None:
    primary = await database.primary()
    await primary.execute(
        """
        CREATE FUNCTION cancelled() RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'in the way of replay' USING ERRCODE = '40001'; END $$;
        ALTER TABLE merge_ticks RENAME TO ticks;
        CREATE VIEW merge_ticks AS SELECT * FROM ticks WHERE cancelled();
        """
    )
    async with connected(database.primary_dsn) as server:
        with pytest.raises(ConnectionFailedError, match="in the way of replay"):
            await server.snapshot(["ani"])
        assert server.usable, "the connection is as good as before"
