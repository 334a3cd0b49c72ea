"""Caps across api processes, before any merge: they tell each other what they accepted."""

from tests.support.database import Database
from tests.support.reading import keys, total
from tests.support.servers import crash_a_backend
from tests.support.service import Service, ServiceFactory
from tests.support.waiting import until

ONCE = [{"limit": 1, "window": "lifetime"}]


async def two(start_service: ServiceFactory, **config: object) -> tuple[Service, Service]:
    """Two processes that know of each other."""
    one, other = await start_service(**config), await start_service(**config)
    await until(
        lambda: one.delivery.exchange.peers == 1 and other.delivery.exchange.peers == 1, "both are heard"
    )
    return one, other


async def show(service: Service, user: str = "ani") -> str:
    (popup,) = await service.popups(user)
    assert (await service.post(user, {"token": popup["token"]}))[0] == 202
    return str(popup["token"])


async def test_another_process_counts_an_impression_before_its_merge(start_service: ServiceFactory) -> None:
    one, other = await two(start_service)
    await one.create("once", caps=ONCE)

    await show(one)

    async def capped() -> bool:
        return await keys(other) == []

    await until(capped, "the other process leaves the campaign out")


async def test_without_announcements_the_other_process_has_to_wait_for_the_merge(
    start_service: ServiceFactory, database: Database
) -> None:
    one = await start_service(peer_announcements="off")
    other = await start_service(peer_announcements="off")
    await one.create("once", caps=ONCE)

    await show(one)

    assert await keys(other) == ["once"]
    await database.merge()
    assert await keys(other) == []


async def test_an_announced_impression_counts_once_through_resend_and_merge(
    start_service: ServiceFactory, database: Database
) -> None:
    one, other = await two(start_service)
    campaign = await one.create("often")
    token = await show(one)

    async def seen() -> bool:
        return await total(other, campaign) == 1

    await until(seen, "the announcement has arrived")
    assert (await other.post("ani", {"token": token}))[0] == 202
    assert await total(other, campaign) == 1
    await database.merge()
    assert await total(other, campaign) == 1
    assert await total(one, campaign) == 1

    async def forgotten() -> bool:
        await total(other, campaign)
        return len(other.delivery.exchange.memory) == 0

    await until(forgotten, "what is merged is not remembered any more")


async def test_announcements_go_on_after_a_crash_of_the_database(
    start_service: ServiceFactory, database: Database
) -> None:
    one, other = await two(start_service)
    campaign = await one.create("often")
    await crash_a_backend(database.cluster)
    await until(
        lambda: one.delivery.exchange.connected and other.delivery.exchange.connected, "both are back"
    )
    await until(one.ready, "impressions can be stored again")

    await show(one)

    async def seen() -> bool:
        return await total(other, campaign) == 1

    await until(seen, "the announcement has arrived")


async def test_a_process_alone_announces_nothing(service: Service) -> None:
    await service.create("often")

    await show(service)

    assert service.delivery.exchange.sent == 0
