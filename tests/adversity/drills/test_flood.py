"""A flood against bounds that are far too small for it. The drill with figures is `drills/flood.py`."""

import asyncio
from collections.abc import Sized

from tests.adversity.drills.open_loop import Load, offer
from tests.support.service import ServiceFactory, user_jwt
from tests.support.waiting import until

_CONNECTIONS_MAX = 20
_IN_FLIGHT_MAX = 3


async def test_a_flood_is_served_or_refused_in_order_and_leaves_nothing_behind(
    start_service: ServiceFactory,
) -> None:
    service = await start_service(max_connections=_CONNECTIONS_MAX, max_requests_in_flight=_IN_FLIGHT_MAX)
    await service.create("sale")
    delivery = service.delivery
    shedder, connections = delivery.shedder, delivery.connections
    bounds: dict[str, Sized] = {"reads": shedder.reads, "writes": shedder.writes, "open": connections}
    most = dict.fromkeys(bounds, 0)

    async def watch() -> None:
        while True:
            for name, bounded in bounds.items():
                most[name] = max(most[name], len(bounded))
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    load = Load(
        service.address,
        [user_jwt(f"user {number}").encode() for number in range(10)],
        connections=3 * _CONNECTIONS_MAX,
        seconds=2.0,
        rate=2000.0,
    )
    outcome = await offer(load)
    watcher.cancel()

    assert set(outcome.statuses) == {200, 202, 503}
    assert (outcome.without_retry_after, outcome.lost, outcome.not_connected) == (0, 0, 0)
    assert shedder.reads.shed["in_flight"] > 0
    assert connections.refused > 0
    assert most["reads"] <= _IN_FLIGHT_MAX
    assert most["writes"] <= _IN_FLIGHT_MAX
    assert most["open"] <= _CONNECTIONS_MAX
    await until(lambda: len(connections) <= 1, "they have gone")  # the test's own client keeps one
    assert len(shedder.reads) == len(shedder.writes) == 0
    assert await service.popups("ani")
    assert delivery.accepted == outcome.statuses[202], "what was refused is not stored"
