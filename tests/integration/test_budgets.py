"""Budgets over HTTP: what is served, what is accepted, and when it is refused."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from api.campaigns.budget import SoftBudget
from maintenance.loop import forget_uses
from maintenance.partitions import least_id_at
from tests.support.database import Database
from tests.support.reading import keys
from tests.support.servers import without
from tests.support.service import ADMIN_KEY, Service, ServiceFactory, bearer
from tests.support.tokens import SIGNER
from tests.support.waiting import until

HARD = {"total": 3, "hard": True}


async def stocked(service: Service, campaign: int) -> None:
    """Return when the service has units of the campaign, or has learned that there are none."""

    def asked() -> bool:
        holding = service.delivery.leases._holdings.get(campaign)
        return holding is not None and (holding.stock.has_room(time.time_ns() // 1000) or holding.ask_at > 0)

    await until(asked, "the campaign has units")


async def create_hard(service: Service, key: str = "hard", **fields: Any) -> int:
    campaign = await service.create(key, **{"budget": HARD} | fields)
    await until(lambda: campaign in service.delivery.reader.catalog.campaigns, "the campaign is known")
    await stocked(service, campaign)
    return campaign


async def change(service: Service, campaign: int, **fields: Any) -> None:
    """By the admin API; returns when the service has heard of it."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}
    path = f"/v1/admin/campaigns/{campaign}"
    async with service.client.patch(path, json=fields, headers=headers) as response:
        assert response.status == 200, await response.text()
    primary = await service.database.primary()
    version = await primary.fetchval("SELECT version FROM catalog_version")
    reader = service.delivery.reader
    await until(lambda: reader.catalog.version >= version, "the service knows of the change")


async def tokens(service: Service, users: int) -> list[tuple[str, str]]:
    """(user, token) of everybody who gets a popup."""
    names = [f"user {number}" for number in range(users)]
    return [(name, popup["token"]) for name in names for popup in await service.popups(name)]


async def served(service: Service, campaign: int, users: int) -> list[tuple[str, str]]:
    """As `tokens`, until nothing is left to be served."""
    got: list[tuple[str, str]] = []
    while more := await tokens(service, users):
        got += more
        for holding in service.delivery.leases._holdings.values():
            holding.ask_at = 0.0
        await stocked(service, campaign)
    return got


async def impressions(database: Database, campaign: int) -> int:
    await database.merge()
    statement = "SELECT coalesce(sum(events), 0) FROM campaign_daily_counts WHERE campaign_id = $1"
    return int(await (await database.primary()).fetchval(statement, campaign))


async def lease(database: Database, campaign: int, units: int = 5) -> int:
    """An open lease of some process that is gone."""
    statement = (
        "INSERT INTO budget_leases (campaign_id, day, instance, units, close_at)"
        " VALUES ($1, current_date, 9, $2, now() + interval '1 hour') RETURNING id"
    )
    return int(await (await database.primary()).fetchval(statement, campaign, units))


def reserved(campaign: int, lease_id: int, number: int = 0, *, served_seconds_ago: float = 0.0) -> str:
    """The token of a popup for `ani` that may be shown for ten seconds."""
    now_ms = time.time_ns() // 1_000_000 - int(served_seconds_ago * 1000)
    signed = SIGNER.sign(
        b"ani", campaign, b"a", now_ms=now_ms, show_by=now_ms // 1000 + 10, unit=(lease_id, number)
    )
    return signed.decode()


# Hard.


async def test_no_more_popups_than_units_and_no_more_impressions_than_popups(
    service: Service, database: Database
) -> None:
    campaign = await create_hard(service)
    got = await served(service, campaign, users=5)
    assert len(got) == 3
    for user, token in got:
        assert (await service.post(user, {"token": token}))[0] == 202
        assert (await service.post(user, {"token": token}))[0] == 202, "a resend"
    assert await impressions(database, campaign) == 3
    assert await tokens(service, 5) == []
    live = service.delivery.reader.catalog.campaigns[campaign]
    assert live.tally["out_of_budget"] >= 5
    async with service.client.get("/metrics") as response:
        text = await response.text()
    for line in (
        'tayang_popups_not_shown_total{campaign="hard",reason="out_of_budget",worker="0"}',
        'tayang_budget_free_units{campaign="hard",worker="0"} 0.0',
        'tayang_budget_units_spent_total{worker="0"} 6.0',
        'tayang_budget_refused_total{worker="0"} 0.0',
    ):
        assert line in text


async def test_two_services_share_one_budget(start_service: ServiceFactory, database: Database) -> None:
    first, second = await start_service(), await start_service()
    campaign = await create_hard(first, budget={"total": 20, "hard": True})
    await until(lambda: campaign in second.delivery.reader.catalog.campaigns, "the second knows it")
    await stocked(second, campaign)
    got = [*await served(first, campaign, users=3), *await served(second, campaign, users=3)]
    assert 0 < len(got) <= 20
    for user, token in got:
        assert (await second.post(user, {"token": token}))[0] == 202, "by whichever it was served"
    assert await impressions(database, campaign) == len(got)


async def test_units_that_were_not_served_come_back_at_a_stop(
    start_service: ServiceFactory, database: Database
) -> None:
    first = await start_service()
    campaign = await create_hard(first)
    await first.close()
    assert await (await database.primary()).fetchval("SELECT sum(units) FROM budget_leases") == 0
    second = await start_service()
    await until(lambda: campaign in second.delivery.reader.catalog.campaigns, "the second knows it")
    await stocked(second, campaign)
    assert len(await served(second, campaign, users=5)) == 3


async def test_a_popup_ends_with_the_day_that_its_unit_is_of(start_service: ServiceFactory) -> None:
    service = await start_service(show_within_seconds=86_400)
    await create_hard(service, "today", timezone="Asia/Jakarta", budget={"per_day": 5, "hard": True})
    await create_hard(service, "ever", timezone="Asia/Jakarta", budget={"total": 5, "hard": True})
    ends = {
        popup["campaign"]: datetime.fromisoformat(popup["expires_at"]).astimezone(ZoneInfo("Asia/Jakarta"))
        for popup in await service.popups("ani")
    }
    assert ends["today"].strftime("%H:%M:%S") == "23:59:59"
    assert timedelta(0) < ends["today"] - datetime.now(UTC) < timedelta(days=1)
    assert timedelta(hours=23) < ends["ever"] - datetime.now(UTC)


async def test_a_lapsed_reservation_is_refused_and_a_resend_of_a_used_one_is_not(
    service: Service, database: Database
) -> None:
    campaign = await create_hard(service)
    lease_id = await lease(database, campaign)
    used, late = (reserved(campaign, lease_id, number, served_seconds_ago=60) for number in (0, 1))
    primary = await database.primary()
    used_id = SIGNER.verify(used).impression_id
    await primary.execute("INSERT INTO budget_uses VALUES (encode($1, 'hex')::uuid, $2)", used_id, lease_id)

    assert (await service.post("ani", {"token": used}))[0] == 202
    status, problem = await service.post("ani", {"token": late})
    assert (status, problem["code"]) == (410, "reservation_expired")
    assert "expires_at" in problem["detail"]
    assert await impressions(database, campaign) == 1
    assert service.delivery.refused == 1


async def test_a_unit_of_a_closed_lease_is_gone_also_in_time(service: Service, database: Database) -> None:
    campaign = await create_hard(service)
    status, problem = await service.post("ani", {"token": reserved(campaign, 99_999)})
    assert (status, problem["code"]) == (410, "reservation_expired")
    assert await impressions(database, campaign) == 0


async def test_refused_reservations_harm_no_others_of_a_list(service: Service, database: Database) -> None:
    campaign = await create_hard(service)
    plain = await service.create("plain", priority=1)
    lease_id = await lease(database, campaign)
    popup = next(each for each in await service.popups("ani") if each["campaign"] == "plain")
    events = [
        {"token": "nonsense"},
        {"token": reserved(campaign, lease_id, 0, served_seconds_ago=60)},
        {"token": popup["token"]},
        {"token": reserved(campaign, lease_id, 1)},
        {"token": reserved(campaign, 99_999)},
    ]
    status, document = await service.post("ani", {"impressions": events})
    assert status == 202
    assert document["accepted"] == 2
    assert [(each["index"], each["code"]) for each in document["rejected"]] == [
        (0, "token_malformed"),
        (1, "reservation_expired"),
        (4, "reservation_expired"),
    ]
    assert (await impressions(database, campaign), await impressions(database, plain)) == (1, 1)


async def test_when_it_was_shown_stays_within_the_time_to_show_it(
    service: Service, database: Database
) -> None:
    """A resend may come on the next day, to a process that has not seen the first one."""
    campaign = await create_hard(service)
    lease_id = await lease(database, campaign)
    token = reserved(campaign, lease_id, served_seconds_ago=60)
    verified = SIGNER.verify(token)
    primary = await database.primary()
    await primary.execute(
        "INSERT INTO budget_uses VALUES (encode($1, 'hex')::uuid, $2)", verified.impression_id, lease_id
    )
    for occurred_at in ({}, {"occurred_at": "2100-01-01T00:00:00Z"}):
        assert (await service.post("ani", {"token": token, **occurred_at}))[0] == 202
    occurred: datetime = await primary.fetchval("SELECT occurred_at FROM impression_buffer")
    assert occurred == datetime.fromtimestamp(verified.show_by + 1, UTC) - timedelta(microseconds=1)


async def test_without_the_primary_a_reserved_impression_waits_for_a_resend(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(ack_timeout_seconds=1.0)
    campaign = await create_hard(service)
    (user, token), *_ = await tokens(service, 1)
    async with without(database.cluster, database.cluster.primary):
        async with service.client.post(
            "/v1/impressions", json={"token": token}, headers=bearer(user)
        ) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json(content_type=None))["code"] == "unavailable"
        assert len(service.delivery.pending) == 0, "nothing is queued"
    await until(lambda: service.delivery.flusher.stats.connected, "the primary is back")

    async def accepted() -> bool:
        return (await service.post(user, {"token": token}))[0] == 202

    await until(accepted, "the resend is accepted")
    assert await impressions(database, campaign) == 1
    await until(lambda: service.delivery.leases.stats.leases > 1, "units are leased again")


async def test_too_many_that_wait_are_told_at_once(start_service: ServiceFactory, database: Database) -> None:
    service = await start_service(budget_queue_max_uses=2)
    campaign = await create_hard(service)
    lease_id = await lease(database, campaign)
    events = [{"token": reserved(campaign, lease_id, number)} for number in range(3)]
    status, problem = await service.post("ani", {"impressions": events})
    assert (status, problem["code"]) == (503, "unavailable")
    assert len(service.delivery.pending) == 0
    assert (await service.post("ani", {"impressions": events[:2]}))[1]["accepted"] == 2


async def test_many_at_once_share_round_trips(service: Service, database: Database) -> None:
    campaign = await create_hard(service)
    lease_id = await lease(database, campaign, units=200)
    posts = [service.post("ani", {"token": reserved(campaign, lease_id, number)}) for number in range(200)]
    assert {status for status, _ in await asyncio.gather(*posts)} == {202}
    assert service.delivery.uses.stats.round_trips < 100
    assert await impressions(database, campaign) == 200


# From soft to hard and back.


async def test_popups_from_before_the_budget_became_hard_are_refused(
    service: Service, database: Database
) -> None:
    campaign = await service.create("sale")
    (user, token), *_ = await tokens(service, 1)
    await change(service, campaign, budget=HARD)
    status, problem = await service.post(user, {"token": token})
    assert (status, problem["code"]) == (410, "reservation_expired")
    await change(service, campaign, status="paused")
    assert (await service.post(user, {"token": token}))[0] == 410, "also while it is paused"
    await change(service, campaign, budget=None)
    assert (await service.post(user, {"token": token}))[0] == 202, "without a budget it counts again"
    assert await impressions(database, campaign) == 1


async def test_reserved_popups_of_a_budget_that_is_soft_by_now_count(
    service: Service, database: Database
) -> None:
    campaign = await create_hard(service)
    (user, token), *_ = await tokens(service, 1)
    await change(service, campaign, budget={"total": 3})
    assert (await service.post(user, {"token": token}))[0] == 202
    assert await impressions(database, campaign) == 1


# Soft.


async def known(service: Service, campaign: int) -> SoftBudget:
    """The budget, once what is spent has been read."""

    def read() -> SoftBudget | None:
        live = service.delivery.reader.catalog.campaigns.get(campaign)
        budget = None if live is None else live.budget
        return budget if isinstance(budget, SoftBudget) and budget._known else None

    found: SoftBudget = await until(read, "what is spent is known")
    return found


async def test_a_soft_budget_ends_with_the_impressions_that_are_known(
    start_service: ServiceFactory, database: Database
) -> None:
    first, second = await start_service(), await start_service()
    campaign = await first.create("soft", budget={"total": 3})
    for service in (first, second):
        await known(service, campaign)
    await first.show("ani")
    await first.show("budi")
    assert await keys(first) == ["soft"]
    await first.show("citra")
    assert await keys(first) == [], "its own at once"
    assert await keys(second) == ["soft"], "the other's when they are merged and read"
    await database.merge()
    await until(lambda: _ended(second), "the second has read that it is spent")
    assert await keys(first) == []
    third = await start_service()
    await known(third, campaign)
    assert await keys(third) == [], "one that starts later knows before it serves"


async def _ended(service: Service) -> bool:
    return await keys(service) == []


async def test_what_was_served_before_the_end_may_overshoot_a_soft_budget(
    service: Service, database: Database
) -> None:
    campaign = await service.create("soft", budget={"total": 2})
    await known(service, campaign)
    got = await tokens(service, 5)
    assert len(got) == 5
    for user, token in got:
        assert (await service.post(user, {"token": token}))[0] == 202
    assert await impressions(database, campaign) == 5, "2, and 3 that were out"
    assert await keys(service) == []


async def test_a_resend_counts_once_in_a_soft_budget(service: Service) -> None:
    campaign = await service.create("soft", budget={"total": 2})
    await known(service, campaign)
    (user, token), *_ = await tokens(service, 1)
    for _ in range(3):
        assert (await service.post(user, {"token": token}))[0] == 202
    assert await keys(service) == ["soft"]


async def test_a_soft_budget_of_the_day_is_of_the_campaigns_day(service: Service, database: Database) -> None:
    """Yesterday's are spent elsewhere, and older days count for the total."""
    campaign = await service.create("soft", timezone="Asia/Jakarta", budget={"per_day": 2, "total": 8})
    today = datetime.now(UTC).astimezone(datetime.strptime("+0700", "%z").tzinfo).date()
    primary = await database.primary()
    await _daily(primary, campaign, {today - timedelta(days=1): 5})
    await known(service, campaign)
    await service.show("ani")
    assert await keys(service) == ["soft"]
    await service.show("ani")
    assert await keys(service) == []
    await change(service, campaign, budget={"per_day": 5, "total": 8})
    assert await keys(service) == ["soft"], "5 + 2 of 8"
    await service.show("ani")
    assert await keys(service) == []


async def test_all_days_count_for_the_total(service: Service, database: Database) -> None:
    primary = await database.primary()
    months_first = datetime.now(UTC).date().replace(day=1)
    last_month = months_first - timedelta(days=1)
    campaign = await service.create("soft", status="paused", budget={"total": 8})
    await _daily(primary, campaign, {last_month.replace(day=1): 7})
    await database.caught_up()
    await change(service, campaign, status="live")
    await known(service, campaign)
    await service.show("ani")
    assert await keys(service) == []


async def _daily(connection: asyncpg.Connection, campaign: int, days: dict[Any, int]) -> None:
    for day, events in days.items():
        await connection.execute(
            "INSERT INTO campaign_daily_counts VALUES ($1, $2, 'a', 1, $3, 0)", day, campaign, events
        )


async def test_an_even_pace_reckons_with_popups_that_are_out_and_with_other_processes(
    start_service: ServiceFactory,
) -> None:
    first, _second = await start_service(), await start_service()
    now = datetime.now(UTC)
    flight = {
        "starts_at": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
    }
    campaign = await first.create("even", **flight, budget={"total": 3, "pacing": "even"})
    budget = await known(first, campaign)
    await until(lambda: budget._processes == 2, "the first knows that it is not alone")
    assert await keys(first) == ["even"]
    short = budget.why_not(time.time_ns() // 1000)
    assert short is not None
    assert short[:4] == ("paced", "total", 0, 2), "1.5 are due, one is out, and perhaps one of the other's"
    assert await keys(first) == []


# The rest.


async def test_campaigns_without_a_budget_need_nothing_of_all_this(
    service: Service, database: Database
) -> None:
    await service.create("plain")
    await service.show("ani")
    primary = await database.primary()
    names = await primary.fetch(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    )
    assert not [row for row in names if "leases" in row[0] or "uses" in row[0]]


async def test_uses_are_forgotten_when_they_can_be_sent_no_more(database: Database) -> None:
    primary = await database.primary()
    now = datetime.now(UTC)
    ages = [timedelta(0), timedelta(hours=47), timedelta(hours=49), timedelta(days=8)]
    for age in ages:
        await primary.execute("INSERT INTO budget_uses VALUES ($1, 1)", least_id_at(now - age))
    await forget_uses(primary, now, accept_within_seconds=7 * 86_400)
    assert await primary.fetchval("SELECT count(*) FROM budget_uses") == 4
    await forget_uses(primary, now, accept_within_seconds=86_400)
    assert await primary.fetchval("SELECT count(*) FROM budget_uses") == 2


@pytest.mark.parametrize(
    ("budget", "field", "said"),
    [
        ({"total": 5, "pacing": "even"}, "budget", "starts_at and ends_at"),
        ({"per_day": 5, "pacing": "even", "hard": True}, "budget", "'asap'"),
        ({"hard": True}, "budget", "total, per_day"),
        ({"total": 0}, "budget.total", "at least 1"),
    ],
)
async def test_bad_budgets_are_refused(service: Service, budget: Any, field: str, said: str) -> None:
    document = {"key": "b", "name": "B", "placement": "home", "budget": budget}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    variants = [{"key": "a", "weight": 1, "content": {}}]
    async with service.client.post(
        "/v1/admin/campaigns", json={**document, "variants": variants}, headers=headers
    ) as response:
        assert response.status == 422
        (error,) = (await response.json(content_type=None))["errors"]
    assert error["field"] == field
    assert said in error["detail"]
