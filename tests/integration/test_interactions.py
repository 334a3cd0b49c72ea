"""POST /v1/interactions, and what counts of what apps send."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from api.campaigns.history import Seen
from buffer.contract import KIND_CLICK, KIND_CONVERT, KIND_DISMISS, KIND_GHOST_CONVERT, KIND_IMPRESSION
from tests.support.budgets import counted, hard_campaign
from tests.support.buffered import counts
from tests.support.counted import disagreements
from tests.support.database import Database
from tests.support.servers import crash_a_backend
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.tokens import SIGNER, token
from tests.support.waiting import until

ACCEPTED = (202, {"accepted": 1, "rejected": []})
KINDS = {"click": KIND_CLICK, "dismiss": KIND_DISMISS, "convert": KIND_CONVERT}


async def buffered(database: Database) -> list[asyncpg.Record]:
    primary = await database.primary()
    return list(await primary.fetch("SELECT * FROM impression_buffer ORDER BY seq"))


async def merged(database: Database) -> asyncpg.Connection:
    """The primary after a merge, when the counts say what the log says."""
    await database.merge()
    primary = await database.primary()
    assert await disagreements(primary) == []
    return primary


async def seen(service: Service, campaign_id: int = 7, user: str = "ani") -> Seen | None:
    return (await service.delivery.reader.view(user)).history.of(campaign_id)


async def test_each_kind_is_stored_as_what_it_is(service: Service, database: Database) -> None:
    signed = token(session=5)
    moment = datetime.now(UTC) - timedelta(microseconds=1)
    for name in KINDS:
        event = {"token": signed, "kind": name, "occurred_at": moment.isoformat()}
        assert await service.interact("ani", event) == ACCEPTED

    rows = await buffered(database)
    assert [row["kind"] for row in rows] == list(KINDS.values())
    assert {row["impression_id"].bytes for row in rows} == {SIGNER.verify(signed).impression_id}
    assert {row["session"] for row in rows} == {0}, "only impressions are of a session"
    assert (await counts(await merged(database), campaign_id=7))["conversions"] == 1


async def test_each_counts_once_for_a_popup_however_often_it_is_sent(
    service: Service, database: Database
) -> None:
    signed = token()
    event = {"token": signed, "kind": "click"}
    for _ in range(2):
        assert await service.interact("ani", event) == ACCEPTED
    await merged(database)
    assert await service.interact("ani", {"interactions": [event, event]}) == (
        202,
        {"accepted": 2, "rejected": []},
    )
    assert await service.interact("ani", {"token": signed, "kind": "dismiss"}) == ACCEPTED
    row = await counts(await merged(database), campaign_id=7)
    assert (row["total"], row["clicks"], row["dismissals"]) == (0, 1, 1)


async def test_a_click_may_come_before_its_impression(service: Service, database: Database) -> None:
    signed = token(session=5)
    assert await service.interact("ani", {"token": signed, "kind": "click"}) == ACCEPTED
    await merged(database)
    assert await service.post("ani", {"token": signed}) == ACCEPTED
    row = await counts(await merged(database), campaign_id=7)
    assert (row["total"], row["clicks"], row["sessions"]) == (1, 1, [5])


async def test_an_interaction_is_known_at_once_and_after_its_merge(
    service: Service, database: Database
) -> None:
    await service.interact("ani", {"token": token(), "kind": "click"})
    await service.post("ani", {"token": token(session=-3)})
    before = await seen(service)
    await merged(database)
    after = await seen(service)
    assert before is not None
    assert after is not None
    assert (before.total, before.sessions, before.interactions) == (1, [-3], (1, 0, 0))
    for name in Seen.__slots__:
        assert getattr(before, name) == getattr(after, name), name


async def test_another_process_knows_it_before_its_merge(start_service: ServiceFactory) -> None:
    one, other = await start_service(), await start_service()
    await until(lambda: one.delivery.exchange.peers and other.delivery.exchange.peers, "both are heard")
    signed = token(session=9)
    await one.post("ani", {"token": signed})
    await one.interact("ani", {"token": signed, "kind": "dismiss"})
    await one.interact("ani", {"token": token(ghost=True), "kind": "convert"})

    async def told() -> bool:
        return await seen(other, -7) is not None

    await until(told, "the last announcement has arrived")
    real, ghosts = await seen(other), await seen(other, -7)
    assert real is not None
    assert ghosts is not None
    assert (real.total, real.sessions, real.interactions) == (1, [9], (0, 1, 0))
    assert ghosts.interactions == (0, 0, 1)


async def test_of_a_list_the_good_ones_are_accepted_and_the_others_named(
    service: Service, database: Database
) -> None:
    good = token()
    events: list[Any] = [
        {"token": good, "kind": "click"},
        {"token": good},
        {"token": good, "kind": "view"},
        {"token": good, "kind": ["click"]},
        {"token": good, "kind": 2},
        {"token": "nonsense", "kind": "click"},
        {"token": token("budi"), "kind": "click"},
        {"token": token(served_seconds_ago=100_000), "kind": "click"},
        {"token": good, "kind": "convert"},
    ]
    status, document = await service.interact("ani", {"interactions": events})
    assert (status, document["accepted"]) == (202, 2)
    rejected = {each["index"]: (each["code"], each["detail"]) for each in document["rejected"]}
    assert {index: code for index, (code, _) in rejected.items()} == {
        **dict.fromkeys((1, 2, 3, 4), "bad_request"),
        5: "token_malformed",
        6: "token_foreign",
        7: "token_expired",
    }
    assert "click, dismiss or convert" in rejected[1][1]
    assert [row["kind"] for row in await buffered(database)] == [KIND_CLICK, KIND_CONVERT]


async def test_one_alone_that_is_rejected_is_an_error(service: Service) -> None:
    status, document = await service.interact("ani", {"token": token(), "kind": "view"})
    assert (status, document["code"]) == (400, "bad_request")
    status, document = await service.interact("ani", {"interactions": [{}] * 101})
    assert (status, document["code"]) == (413, "too_large")
    assert "interactions" in document["detail"]


async def test_the_endpoints_do_not_take_each_other_s_lists(service: Service) -> None:
    status, document = await service.interact("ani", {"impressions": [{"token": token()}]})
    assert (status, document["code"]) == (400, "token_malformed")


async def test_a_full_pending_list_refuses_interactions_and_knows_resends(
    start_service: ServiceFactory,
) -> None:
    service = await start_service(pending_max_rows=1)
    signed = token()
    assert (await service.interact("ani", {"token": signed, "kind": "click"}))[0] == 202
    status, document = await service.interact("ani", {"token": signed, "kind": "convert"})
    assert (status, document["code"]) == (503, "buffer_full")
    assert (await service.interact("ani", {"token": signed, "kind": "click"}))[0] == 202


async def test_overload_sheds_interactions_as_impressions(service: Service) -> None:
    connections, shedder = service.delivery.connections, service.delivery.shedder
    assert connections.gate_of(b"POST /v1/interactions HTTP/1.1\r\n") is shedder.writes
    assert connections.gate_of(b"POST /v1/impressions HTTP/1.1\r\n") is shedder.writes


async def test_a_crash_between_loses_neither_kind_nor_session_nor_lateness(
    service: Service, database: Database
) -> None:
    signed = token(session=-9, served_seconds_ago=60)
    assert await service.interact("ani", {"token": signed, "kind": "click"}) == ACCEPTED
    assert await service.post("ani", {"token": signed}) == ACCEPTED
    before = [dict(row) for row in await buffered(database)]
    assert [(row["session"], row["late"]) for row in before] == [(0, True), (-9, True)]

    await crash_a_backend(database.cluster)
    stats = service.delivery.flusher.stats
    await until(lambda: stats.connected and stats.rows_copied == 4, "both rows are sent again")
    await database.close()
    assert [dict(row) for row in await buffered(database)] == before

    row = await counts(await merged(database), campaign_id=7)
    assert (row["total"], row["clicks"], row["sessions"]) == (1, 1, [-9])


# Users who are held out.


async def test_of_a_ghost_only_conversions_are_accepted(service: Service, database: Database) -> None:
    signed = token(ghost=True)
    for path, event in (
        (service.post, {"token": signed}),
        (service.interact, {"token": signed, "kind": "click"}),
        (service.interact, {"token": signed, "kind": "dismiss"}),
    ):
        status, document = await path("ani", event)
        assert (status, document["code"]) == (409, "token_held_out"), event
    for _ in range(2):
        assert await service.interact("ani", {"token": signed, "kind": "convert"}) == ACCEPTED
    assert [row["kind"] for row in await buffered(database)] == [KIND_GHOST_CONVERT]
    primary = await merged(database)
    assert (await counts(primary, campaign_id=-7))["conversions"] == 1
    assert await primary.fetchval("SELECT count(*) FROM user_campaign_counts") == 1
    after = await seen(service, -7)
    assert after is not None
    assert after.interactions == (0, 0, 1)


# Hard budgets.


async def test_interactions_spend_no_unit_and_come_after_expires_at(
    service: Service, database: Database
) -> None:
    campaign = await hard_campaign(database, total=5)
    await database.caught_up()
    await service.popups("ani")
    now_ms = time.time_ns() // 1_000_000
    lapsed = SIGNER.sign(
        b"ani", campaign, b"a", now_ms=now_ms - 60_000, show_by=now_ms // 1000 - 30, unit=(1, 0)
    ).decode()
    status, document = await service.post("ani", {"token": lapsed})
    assert (status, document["code"]) == (410, "reservation_expired")
    trips = service.delivery.uses.stats.round_trips
    assert await service.interact("ani", {"token": lapsed, "kind": "click"}) == ACCEPTED
    from_before = token(campaign_id=campaign)
    assert await service.interact("ani", {"token": from_before, "kind": "convert"}) == ACCEPTED
    assert service.delivery.uses.stats.round_trips == trips
    assert await counted(database, campaign) == 0
    assert [row["kind"] for row in await buffered(database)] == [KIND_CLICK, KIND_CONVERT]
    occurred_at = (await buffered(database))[0]["occurred_at"]
    assert occurred_at > datetime.fromtimestamp(now_ms / 1000 - 30, UTC), "when it was, not when it lapsed"


# Tests.


async def test_a_test_s_events_are_accepted_and_stored_nowhere(service: Service, database: Database) -> None:
    campaign = await hard_campaign(database, total=5)
    await database.caught_up()
    await service.popups("ani")
    signed = token(test=True, campaign_id=campaign)
    assert await service.post("ani", {"token": signed}) == ACCEPTED
    assert await service.interact("ani", {"token": signed, "kind": "click"}) == ACCEPTED
    both = [{"token": signed}, {"token": token()}, {"token": "nonsense"}]
    status, document = await service.post("ani", {"impressions": both})
    assert (status, document["accepted"], len(document["rejected"])) == (202, 2, 1)

    assert len(await buffered(database)) == 1
    assert service.delivery.of_tests == 3
    assert service.delivery.accepted == 4
    assert await counted(database, campaign) == 0
    status, document = await service.post("ani", {"token": token(test=True, ghost=True)})
    assert (status, document["code"]) == (409, "token_held_out"), "what is wrong is told in tests, too"


async def test_the_popups_that_a_user_had_before_becoming_a_test_user(
    service: Service, database: Database
) -> None:
    primary = await database.primary()
    await primary.execute("INSERT INTO test_users (user_id, note) VALUES ('ani', '')")
    await database.caught_up()
    await service.popups("ani")
    assert await service.post("ani", {"token": token()}) == ACCEPTED
    assert await service.interact("ani", {"token": token(unit=(1, 0)), "kind": "click"}) == ACCEPTED
    assert await service.post("budi", {"token": token("budi")}) == ACCEPTED
    assert [row["user_id"] for row in await buffered(database)] == ["budi"]


# Late.


async def lateness(service: Service, database: Database, signed: str) -> bool:
    status, document = await service.post("ani", {"token": signed})
    assert status == 202, document
    return bool((await buffered(database))[-1]["late"])


async def test_what_comes_for_a_paused_campaign_counts_and_is_late(
    service: Service, database: Database
) -> None:
    campaign = await service.create("sale")
    early, *later = [(await service.popups("ani"))[0]["token"] for _ in range(3)]
    assert not await lateness(service, database, early)

    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}
    async with service.client.patch(
        f"/v1/admin/campaigns/{campaign}", json={"status": "paused"}, headers=headers
    ) as response:
        assert response.status == 200
    await database.caught_up()
    assert await service.popups("ani") == []
    assert await lateness(service, database, later[0])
    assert await service.interact("ani", {"token": later[1], "kind": "click"}) == ACCEPTED
    assert service.delivery.late == 2
    assert await service.post("ani", {"token": early}) == ACCEPTED
    assert await service.post("ani", {"token": later[0]}) == ACCEPTED
    assert service.delivery.late == 2, "a resend is not counted again"

    primary = await merged(database)
    rows = await primary.fetch(
        "SELECT kind, sum(events), sum(late_events) FROM campaign_daily_counts GROUP BY kind ORDER BY kind"
    )
    assert [tuple(row) for row in rows] == [(KIND_IMPRESSION, 2, 1), (KIND_CLICK, 1, 1)]


async def test_what_comes_after_the_end_is_late(service: Service, database: Database) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    campaign = await service.create("sale", ends_at=soon.isoformat())
    await service.popups("ani")
    assert not await lateness(service, database, token(campaign_id=campaign))
    await until(lambda: datetime.now(UTC) >= soon, "the campaign has ended")
    assert await lateness(service, database, token(campaign_id=campaign))


async def test_a_campaign_that_is_newer_than_the_last_read_is_not_late(
    service: Service, database: Database
) -> None:
    """Another process has served its popup just now."""
    assert not await lateness(service, database, token(campaign_id=99, served_seconds_ago=-5))
    assert await lateness(service, database, token(campaign_id=99, served_seconds_ago=5))
