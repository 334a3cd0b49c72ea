"""DELETE /v1/admin/users/{id}: nothing of the user is left anywhere, and nothing comes back."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from yarl import URL

from api.admin import erasures as handlers
from buffer.contract import COLUMNS, MERGE_LOCK
from maintenance.duty import statement
from maintenance.erasures import erased_in_buffer, finish_erasures, forget_erasures
from maintenance.loop import erasures_kept
from maintenance.partitions import bounds, partitions_of
from maintenance.settings import MaintenanceConfig
from tests.adversity.chaos.faults import BlackHole
from tests.adversity.chaos.proxy import Proxy
from tests.integration.admin_support import problem
from tests.support.buffered import NOON, Event, buffer, impression_id, waits
from tests.support.database import Database
from tests.support.servers import crash_a_backend
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.traces import traces_in, traces_in_memory
from tests.support.waiting import until

USER = "user-to-be-erased-8d1f"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture(name="service")
async def service_fixture(start_service: ServiceFactory) -> Service:
    """All clocks are this machine's; nothing is announced to other processes, which it would wait for."""
    return await start_service(erasure_clock_slack_seconds=0.0)


async def erase(service: Service, user: str = USER) -> dict[str, Any]:
    url = URL(f"/v1/admin/users/{quote(user, safe='')}", encoded=True)
    async with service.client.delete(url, headers=ADMIN) as response:
        assert response.status == 202, await response.text()
        document: dict[str, Any] = await response.json()
        assert response.headers["Location"] == f"/v1/admin/erasures/{document['id']}"
        return document


async def status(service: Service, erasure: dict[str, Any]) -> dict[str, Any]:
    async with service.client.get(f"/v1/admin/erasures/{erasure['id']}", headers=ADMIN) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def maintained(database: Database) -> int:
    """What `tayang maintain` does for an erasure; returns how many are done by that."""
    await database.merge()
    done = await finish_erasures(await database.primary(), datetime.now(UTC))
    await database.caught_up()
    return done


async def traces(database: Database) -> dict[str, int]:
    return {
        **await traces_in(await database.primary(), USER),
        **await traces_in(await database.replica(), USER),
    }


def tables(found: dict[str, int]) -> set[str]:
    """Without the partitions' numbers."""
    return {name.rstrip("0123456789").rstrip("_") for name in found}


async def forgotten(service: Service) -> None:
    """Return once the process has seen what was merged."""
    await until(lambda: not len(service.delivery.pending), "what is merged is forgotten")

    async def nothing_left() -> bool:
        await service.ready()  # an open connection remembers its last request
        return not traces_in_memory(service, USER)

    await until(nothing_left, "nothing of the user is in memory")


async def confirmed(service: Service, user: str = USER) -> str:
    """The token of a popup that was shown, and confirmed."""
    token = str((await service.popups(user))[0]["token"])
    assert (await service.post(user, {"token": token}))[0] == 202
    return token


async def events_of(database: Database, user: str) -> tuple[int, int]:
    """In the log, and in the counts."""
    primary = await database.primary()
    return (
        await primary.fetchval("SELECT count(*) FROM impressions WHERE user_id = $1", user),
        await primary.fetchval(
            "SELECT coalesce(sum(total), 0) FROM user_campaign_counts WHERE user_id = $1", user
        ),
    )


async def test_nothing_is_left_in_any_table_or_memory(service: Service, database: Database) -> None:
    primary = await database.primary()
    await service.create("sale")
    yesterday = NOON - timedelta(days=1)
    far = NOON + timedelta(days=400)
    old = [
        *(Event(USER, kind=kind, occurred_at=yesterday, id=impression_id(yesterday)) for kind in (1, 2, 5)),
        Event(USER, occurred_at=far, id=impression_id(far)),
        Event("budi"),
    ]
    await buffer(primary, old, table=1)
    await confirmed(service)
    await database.merge()  # counted, of today and yesterday, and one in quarantine
    await confirmed(service)
    await primary.execute("INSERT INTO audience_members VALUES ($1, 1), ($1, 2), ('budi', 1)", USER)
    await primary.execute("INSERT INTO test_users (user_id, note) VALUES ($1, 'qa')", USER)
    await database.caught_up()
    before = await traces(database)
    counted = await primary.fetch("SELECT * FROM campaign_daily_counts ORDER BY 1, 2, 3, 4")
    assert tables(before) == {
        "audience_members",
        "user_campaign_counts",
        "impressions",
        "impression_quarantine",
        "impression_buffer",
        "test_users",
    }
    assert traces_in_memory(service, USER)

    erasure = await erase(service)
    assert (erasure["status"], erasure["done_at"]) == ("erasing", None)
    assert erasure["removed"] == {"audience": 2, "counts": 2, "quarantine": 1, "test_users": 1}
    left = await traces_in(primary, USER)
    assert tables(left) == {"impressions", "impression_buffer"}

    assert await maintained(database) == 1
    assert await traces(database) == {}
    await forgotten(service)
    assert (await status(service, erasure))["status"] == "erased"
    assert (await status(service, erasure))["removed"]["log"] == 4
    assert await primary.fetch("SELECT * FROM campaign_daily_counts ORDER BY 1, 2, 3, 4") == counted
    assert await events_of(database, "budi") == (1, 1)
    entry = await primary.fetchrow("SELECT * FROM audit_log WHERE kind = 'erasure'")
    assert entry is not None
    assert (entry["actor"], entry["subject"], entry["action"]) == ("bootstrap", erasure["id"], "erase")


async def test_old_tokens_are_accepted_and_dropped_and_new_ones_count(
    service: Service, database: Database
) -> None:
    await service.create("sale")
    token = await confirmed(service)
    await database.merge()
    await erase(service)
    assert await maintained(database) == 1
    await until(lambda: not len(service.delivery.pending), "what is merged is forgotten")
    for _ in range(2):  # the second time, the process has forgotten it
        status_, document = await service.post(USER, {"token": token})
        assert (status_, document) == (202, {"accepted": 1, "rejected": []})
        assert (await service.interact(USER, {"token": token, "kind": "click"}))[0] == 202
    merged = await database.merge()
    assert (merged.erased, merged.events, merged.duplicates) == (1, 0, 0), "the impression was still known"
    assert await traces(database) == {}, "also the buffer is emptied"

    await confirmed(service)
    assert (await database.merge()).events == 1
    assert await events_of(database, USER) == (1, 1)


async def test_another_process_does_not_bring_it_back_either(
    service: Service, start_service: ServiceFactory, database: Database
) -> None:
    """One that has never seen the impression takes it for new."""
    await service.create("sale")
    token = await confirmed(service)
    await database.merge()
    await erase(service)
    await maintained(database)
    other = await start_service()
    assert (await other.post(USER, {"token": token}))[0] == 202
    merged = await database.merge()
    assert (merged.rows, merged.erased, merged.events) == (1, 1, 0)
    assert await traces(database) == {}
    await erase(service)  # what the resend was authorized with
    await forgotten(other)


async def test_an_erasure_waits_for_the_merge_that_is_under_way(service: Service, database: Database) -> None:
    assert await counted_by_a_merge_under_way(service, database, waiting=True) == {}


async def test_without_its_turn_a_merge_under_way_would_count_after_the_erasure(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "_TAKE_TURN", "SELECT $1::bigint")
    left = await counted_by_a_merge_under_way(service, database, waiting=False)
    assert any(name.startswith("user_campaign_counts") for name in left)


async def counted_by_a_merge_under_way(
    service: Service, database: Database, *, waiting: bool
) -> dict[str, int]:
    """The traces that are left when a user is erased between a merge's statement and its commit."""
    primary = await database.primary()
    await buffer(primary, [Event(USER, id=impression_id(datetime.now(UTC)))])
    transaction = primary.transaction()
    await transaction.start()
    await primary.execute("SELECT pg_advisory_xact_lock($1)", MERGE_LOCK)
    limits = await bounds(primary)
    await primary.fetchrow(statement("merge"), 50_000, limits.ids, limits.midnights, datetime.now(UTC))
    erasing = asyncio.create_task(erase(service))
    if waiting:
        onlooker = await asyncpg.connect(database.primary_dsn)
        try:
            await until(lambda: _waits_for_turn(onlooker), "the erasure waits")
        finally:
            await onlooker.close()
        assert not erasing.done()
    else:
        await erasing
    await transaction.commit()
    await erasing
    await maintained(database)
    return await traces(database)


async def _waits_for_turn(connection: asyncpg.Connection) -> bool:
    pids = await connection.fetch(
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'tayang admin' AND datname = current_database()"
    )
    return any([await waits(connection, row["pid"]) for row in pids])


async def test_a_merge_that_stands_still_is_a_503_and_changes_nothing(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(database_timeout_seconds=1.0, erasure_clock_slack_seconds=0.0)
    primary = await database.primary()
    await primary.execute("INSERT INTO audience_members VALUES ($1, 1)", USER)
    async with primary.transaction():
        await primary.execute("SELECT pg_advisory_xact_lock($1)", MERGE_LOCK)
        async with service.client.delete(f"/v1/admin/users/{USER}", headers=ADMIN) as response:
            assert response.headers["Retry-After"]
            await problem(response, 503, "unavailable")
    assert await traces_in(primary, USER) == {"audience_members_" + await _partition(primary): 1}
    await erase(service)
    assert await traces_in(primary, USER) == {}


async def _partition(connection: asyncpg.Connection) -> str:
    name: str = await connection.fetchval("SELECT tableoid::regclass::text FROM audience_members")
    return name.rpartition("_")[2]


async def test_a_copy_in_flight_is_dropped(service: Service, database: Database) -> None:
    """Its rows are committed after the erasure."""
    primary = await database.primary()
    copying = await asyncpg.connect(database.primary_dsn)
    event = Event(USER, id=impression_id(datetime.now(UTC)))
    row = (7, 1, event.id, 1, USER, 1, "a", datetime.now(UTC), 0, False)
    async with copying.transaction():
        await copying.copy_records_to_table("impression_buffer_0", records=[row], columns=COLUMNS)
        await erase(service)
        assert await finish_erasures(primary, datetime.now(UTC)) == 1, (
            "there is nothing of the user to be seen"
        )
    await copying.close()
    assert await traces_in(primary, USER) == {"impression_buffer_0": 1}
    assert (await database.merge()).erased == 1
    assert await traces(database) == {}


async def test_what_waits_for_a_merge_keeps_an_erasure_open(service: Service, database: Database) -> None:
    primary = await database.primary()
    await buffer(primary, [Event(USER, id=impression_id(datetime.now(UTC)))])
    erasure = await erase(service)
    assert len(await erased_in_buffer(primary)) == 1
    assert await finish_erasures(primary, datetime.now(UTC)) == 0
    assert (await status(service, erasure))["status"] == "erasing"
    assert await maintained(database) == 1
    assert (await status(service, erasure))["status"] == "erased"


async def test_an_erased_row_is_no_duplicate_and_none_for_the_quarantine(
    database: Database, service: Service
) -> None:
    primary = await database.primary()
    far = NOON - timedelta(days=300)
    await erase(service)
    await buffer(primary, [Event(USER, id=impression_id(far), occurred_at=far), Event("budi")])
    merged = await database.merge()
    assert (merged.rows, merged.erased, merged.quarantined, merged.duplicates, merged.events) == (
        2,
        1,
        0,
        0,
        1,
    )


async def test_erasing_again_is_the_same_erasure_later(service: Service, database: Database) -> None:
    await service.create("sale")
    first = await erase(service)
    await maintained(database)
    await confirmed(service)
    await database.merge()
    assert await events_of(database, USER) == (1, 1)
    second = await erase(service)
    assert second["id"] == first["id"]
    assert second["erased_at"] > first["erased_at"]
    assert second["status"] == "erasing"
    assert await maintained(database) == 1
    assert await traces(database) == {}
    primary = await database.primary()
    assert await primary.fetchval("SELECT count(*) FROM erasures") == 1
    assert await primary.fetchval("SELECT count(*) FROM audit_log WHERE kind = 'erasure'") == 2


async def test_one_that_is_erased_again_during_the_search_stays_open(
    service: Service, database: Database
) -> None:
    primary = await database.primary()
    first = await erase(service)
    partition = (await partitions_of(primary, "impressions"))[0].name
    holder = await asyncpg.connect(database.primary_dsn)
    async with holder.transaction():
        await holder.execute(f"LOCK TABLE {partition} IN ACCESS EXCLUSIVE MODE")
        searching = asyncio.create_task(finish_erasures(primary, datetime.now(UTC)))
        pid = primary.get_server_pid()
        await until(lambda: waits(holder, pid), "the search waits")
        await erase(service)
    await searching
    await holder.close()
    assert (await status(service, first))["status"] == "erasing"
    assert await maintained(database) == 1


async def test_many_are_searched_for_in_one_pass(service: Service, database: Database) -> None:
    primary = await database.primary()
    users = [f"user {n}" for n in range(20)]
    await buffer(primary, [Event(user, id=impression_id(NOON - timedelta(days=1))) for user in users])
    await database.merge()
    for user in users[:15]:
        await erase(service, user)
    assert await maintained(database) == 15
    rows = await primary.fetch('SELECT user_id FROM impressions ORDER BY user_id COLLATE "C"')
    assert [row["user_id"] for row in rows] == sorted(users[15:])


async def test_a_record_is_kept_until_nothing_can_be_merged_any_more(
    service: Service, database: Database
) -> None:
    primary = await database.primary()
    await erase(service)
    await maintained(database)
    kept = erasures_kept(MaintenanceConfig(primary_dsn=""))
    assert kept >= timedelta(days=36), "tokens are accepted for a day, and the log takes rows of 35"
    now = datetime.now(UTC)
    await forget_erasures(primary, now + kept - timedelta(minutes=1), kept=kept)
    assert await primary.fetchval("SELECT count(*) FROM erasures") == 1
    await forget_erasures(primary, now + kept + timedelta(minutes=1), kept=kept)
    assert await primary.fetchval("SELECT count(*) FROM erasures") == 0


async def test_a_clock_that_is_ahead_brings_nothing_back(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(erasure_clock_slack_seconds=5.0)
    primary = await database.primary()
    await erase(service)
    ahead = datetime.now(UTC) + timedelta(seconds=3)
    later = datetime.now(UTC) + timedelta(seconds=30)
    events = [Event(USER, id=impression_id(served), occurred_at=served) for served in (ahead, later)]
    await buffer(primary, events)
    merged = await database.merge()
    assert (merged.erased, merged.events) == (1, 1)


@pytest.mark.parametrize("user", ["a/b", "{x}", "日本", "a?b#c%2F", "🦊 fox"], ids=range(5))
async def test_any_user_id_can_be_erased(service: Service, database: Database, user: str) -> None:
    primary = await database.primary()
    await buffer(primary, [Event(user, id=impression_id(NOON - timedelta(days=1)))])
    await database.merge()
    assert await events_of(database, user) == (1, 1)
    await erase(service, user)
    await maintained(database)
    assert await events_of(database, user) == (0, 0)


async def test_what_is_no_user_or_no_erasure(service: Service) -> None:
    async with service.client.delete(f"/v1/admin/users/{'x' * 129}", headers=ADMIN) as response:
        document = await problem(response, 422, "invalid")
    assert document["errors"][0]["field"] == "user_id"
    for unknown in ("nonsense", "00000000-0000-4000-8000-000000000000"):
        async with service.client.get(f"/v1/admin/erasures/{unknown}", headers=ADMIN) as response:
            await problem(response, 404, "not_found")


async def test_a_user_who_is_not_known_is_erased_all_the_same(service: Service, database: Database) -> None:
    """There may be a phone with impressions of his."""
    primary = await database.primary()
    version = await primary.fetchval("SELECT version FROM catalog_version")
    erasure = await erase(service)
    assert erasure["removed"] == {"audience": 0, "counts": 0, "quarantine": 0, "test_users": 0}
    assert await maintained(database) == 1
    assert await primary.fetchval("SELECT version FROM catalog_version") == version, (
        "no process reads it again"
    )


async def test_a_crash_of_the_database_brings_nothing_back(service: Service, database: Database) -> None:
    """The process sends again what was not merged, to an empty buffer."""
    await service.create("sale")
    await confirmed(service)
    await confirmed(service, "budi")
    await erase(service)
    assert len(service.delivery.pending.of_user(USER)) == 1
    await crash_a_backend(database.cluster)
    flusher = service.delivery.flusher
    await until(lambda: flusher.stats.rows_sent_again == 2, "both are sent again")
    await until(lambda: flusher.stats.rows_copied == 4, "both are committed")
    await database.close()
    merged = await database.merge()
    assert (merged.erased, merged.events) == (1, 1)
    assert await events_of(database, "budi") == (1, 1)
    assert await maintained(database) == 1
    assert await traces(database) == {}
    await forgotten(service)


async def test_a_process_that_was_cut_off_brings_nothing_back(
    service: Service, start_service: ServiceFactory, database: Database
) -> None:
    """It has accepted, not stored, and not heard of the erasure."""
    await service.create("sale")
    proxy = Proxy(database.cluster.primary.port)
    await proxy.start()
    try:
        behind = database.primary_dsn.replace(f":{database.cluster.primary.port}", f":{proxy.port}")
        far = await start_service(primary_dsn=behind, ack_timeout_seconds=0.3, database_timeout_seconds=1.0)
        token = (await far.popups(USER))[0]["token"]
        proxy.strike(BlackHole(lambda _link: True, deliver=False))
        code, document = await far.post(USER, {"token": token})
        assert (code, document["code"]) == (503, "ack_timeout")
        await erase(service)
        assert await maintained(database) == 1
        assert traces_in_memory(far, USER)
        proxy.heal()
        await until(lambda: far.delivery.pending.acked_through, "what it kept is stored")
        await until(lambda: far.delivery.exchange.connected, "it hears of erasures again")
        merged = await database.merge()
        assert (merged.erased, merged.events) == (1, 0)
        assert await traces(database) == {}
        await forgotten(far)
    finally:
        await proxy.stop()


async def test_other_processes_forget_what_they_were_told(
    service: Service, start_service: ServiceFactory
) -> None:
    """At once, not when it is merged."""
    other = await start_service()
    here, there = service.delivery.exchange, other.delivery.exchange
    await until(lambda: here.peers and there.peers, "they know of each other")
    await service.create("sale")
    await confirmed(service)
    await until(lambda: len(there.memory) == 1, "the other process has heard of it")
    assert traces_in_memory(other, USER)
    await erase(service)
    await until(lambda: not traces_in_memory(other, USER), "nothing of the user is in memory")
    assert len(service.delivery.pending.of_user(USER)) == 1, "nothing was merged"
