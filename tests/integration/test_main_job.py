"""The main job through HTTP: serve, confirm, cap, merge."""

import asyncio

from tests.support.database import Database
from tests.support.reading import batches
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.waiting import until


async def keys(service: Service, user: str) -> list[str]:
    return [popup["campaign"] for popup in await service.popups(user)]


async def test_the_cap_holds_at_once_before_any_merge_and_after_it(
    service: Service, database: Database
) -> None:
    await service.create("twice", caps=[{"limit": 2, "window": "24h"}])
    assert await service.show("ani") == "twice"
    from_primary = batches(service, "primary")  # perhaps the catalog: it was announced before it was replayed

    assert await service.show("ani") == "twice"
    assert await keys(service, "ani") == []
    assert await keys(service, "budi") == ["twice"]
    assert batches(service, "primary") == from_primary, "all of it was read from the replica"

    result = await database.merge()
    assert (result.rows, result.events, result.rows_left) == (2, 2, 0)
    assert await keys(service, "ani") == []
    replica = await database.replica()
    assert await replica.fetchval("SELECT total FROM user_campaign_counts WHERE user_id = 'ani'") == 2


async def test_the_cap_holds_on_another_worker_after_the_merge(
    start_service: ServiceFactory, database: Database
) -> None:
    first, second = await start_service(), await start_service(worker=1)
    await first.create("once", caps=[{"limit": 1, "window": "lifetime"}])
    assert await keys(second, "ani") == ["once"]

    await first.show("ani")
    await database.merge()

    assert await keys(second, "ani") == []


async def test_fifty_resends_in_parallel_over_two_workers_count_once(
    start_service: ServiceFactory, database: Database
) -> None:
    first, second = await start_service(), await start_service(worker=1)
    await first.create("five", caps=[{"limit": 5, "window": "day"}])
    token = (await first.popups("ani"))[0]["token"]

    answers = await asyncio.gather(
        *(service.post("ani", {"token": token}) for service in (first, second) for _ in range(25))
    )

    assert {status for status, _ in answers} == {202}
    result = await database.merge()
    assert result.events == 1
    assert result.duplicates == 1, "each worker buffered it once, however often it came"
    primary = await database.primary()
    assert await primary.fetchval("SELECT total FROM user_campaign_counts") == 1
    assert await primary.fetchval("SELECT sum(events) FROM campaign_daily_counts") == 1


async def test_a_resend_after_the_merge_counts_once_and_is_not_in_the_overlay(
    service: Service, database: Database
) -> None:
    await service.create("two", caps=[{"limit": 2, "window": "day"}])
    token = (await service.popups("ani"))[0]["token"]
    await service.post("ani", {"token": token})
    await database.merge()
    await until(lambda: len(service.delivery.pending) == 0, "reads show the merge: the event is forgotten")

    assert (await service.post("ani", {"token": token}))[0] == 202

    assert await keys(service, "ani") == ["two"], "one impression of two allowed ones"
    assert (await database.merge()).rows == 0


async def test_a_paused_campaign_is_gone_with_the_next_read(service: Service, database: Database) -> None:
    number = await service.create("brief")
    assert await keys(service, "ani") == ["brief"]

    async with service.client.patch(
        f"/v1/admin/campaigns/{number}",
        json={"status": "paused", "version": 1},
        headers={"Authorization": "Bearer the-admin-key-of-the-tests"},
    ) as response:
        assert response.status == 200, await response.text()
    await database.caught_up()

    assert await keys(service, "ani") == []


async def test_popups_need_a_user(service: Service) -> None:
    async with service.client.get("/v1/popups?placement=home") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await response.json(content_type=None))["code"] == "unauthorized"
    async with service.client.get("/v1/popups", headers=bearer("ani")) as response:
        assert response.status == 400
        assert (await response.json(content_type=None))["parameter"] == "placement"
