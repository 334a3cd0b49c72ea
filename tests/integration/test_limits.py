"""429 over HTTP: who asks too often is refused before anything is done for him, and nobody else is."""

import json
from collections.abc import Mapping
from typing import Any

from api.access.limits import RateLimit
from api.campaigns.tally import SERVED
from tests.support.keys import holding, new_key
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.waiting import until

HOME = "/v1/popups?placement=home"


def stop_clock(limit: RateLimit | None) -> RateLimit:
    """Time stands, so that a slow machine doesn't give the burst back meanwhile."""
    assert limit is not None
    now = limit._clock_ns()
    limit._clock_ns = lambda: now
    return limit


async def ask(
    service: Service, headers: dict[str, str], method: str = "GET", path: str = HOME, document: Any = None
) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    async with service.client.request(method, path, headers=headers, json=document) as response:
        return response.status, response.headers, json.loads(await response.read())


async def test_a_user_who_asks_too_often_is_told_when_to_come_again(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.5, user_burst_max_requests=4)
    limit = stop_clock(service.delivery.limits.users)
    answers = [await ask(service, bearer("ani")) for _ in range(5)]

    assert [status for status, _, _ in answers] == [200, 200, 200, 200, 429]
    assert [headers.get("RateLimit") for _, headers, _ in answers] == [
        *(None, None, '"user";r=1;t=6', '"user";r=0;t=8'),
        '"user";r=0;t=2',
    ]
    _, headers, problem = answers[-1]
    assert headers["Retry-After"] == "2"
    assert headers["RateLimit-Policy"] == '"user";q=4;w=8'
    assert headers["Content-Type"] == "application/problem+json"
    assert (problem["code"], problem["status"], problem["limited"]) == ("rate_limited", 429, "user")
    assert "Retry-After" in problem["detail"]
    assert (await ask(service, bearer("budi")))[0] == 200
    now = limit._clock_ns()
    limit._clock_ns = lambda: now + 2_000_000_000
    assert (await ask(service, bearer("ani")))[0] == 200


async def test_all_three_endpoints_share_the_rate_and_no_other_has_one(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.01, user_burst_max_requests=3)
    for method, path in (("GET", HOME), ("POST", "/v1/impressions"), ("POST", "/v1/interactions")):
        assert (await ask(service, bearer("ani"), method, path, {"token": "none"}))[0] in (200, 400)
    for method, path in (("GET", HOME), ("POST", "/v1/impressions"), ("POST", "/v1/interactions")):
        assert (await ask(service, bearer("ani"), method, path, {"token": "none"}))[0] == 429
    assert (await ask(service, bearer("ani"), "GET", "/readyz"))[0] == 200


async def test_a_refused_event_counts_when_it_is_sent_again(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.01, user_burst_max_requests=2)
    limit = stop_clock(service.delivery.limits.users)
    await service.create("sale")
    popup, more = (await service.popups("ani"))[0], (await service.popups("ani"))[0]
    events = {"impressions": [{"token": popup["token"]}, {"token": more["token"]}]}
    assert (await service.post("ani", events))[0] == 429
    assert len(service.delivery.pending) == 0
    later = limit._clock_ns() + 100_000_000_000
    limit._clock_ns = lambda: later
    # A list costs what one event costs.
    assert await service.post("ani", events) == (202, {"accepted": 2, "rejected": []})
    assert len(service.delivery.pending) == 2


async def test_a_refused_get_takes_nothing_of_a_hard_budget(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.01, user_burst_max_requests=2)
    stop_clock(service.delivery.limits.users)
    await service.create("sale", budget={"total": 10, "hard": True})

    async def served() -> bool:
        return bool(await service.popups(f"user {next(numbers)}"))

    numbers = iter(range(1000))
    await until(served, "units are leased")
    campaign = service.delivery.reader.catalog.budgeted[0]
    before = campaign.tally[SERVED]
    assert [(await ask(service, bearer("ani")))[0] for _ in range(7)] == [200] * 2 + [429] * 5
    assert campaign.tally[SERVED] == before + 2


async def test_a_key_has_a_rate_of_its_own_and_takes_nothing_of_its_users(
    start_service: ServiceFactory,
) -> None:
    service = await start_service(
        user_max_requests_per_second=0.01,
        user_burst_max_requests=1,
        key_max_requests_per_second=0.1,
        key_burst_max_requests=3,
    )
    _, text = await new_key(service.database, "deliver", "ingest")
    _, other = await new_key(service.database, "deliver")
    path = f"{HOME}&user_id=ani"
    statuses = [(await ask(service, holding(text), path=path))[0] for _ in range(3)]
    status, headers, problem = await ask(service, holding(text), path=path)
    assert [*statuses, status] == [200, 200, 200, 429]
    assert headers["RateLimit-Policy"] == '"key";q=3;w=30'
    assert problem["limited"] == "key"
    assert (await ask(service, holding(other), path=path))[0] == 200
    assert (await ask(service, bearer("ani")))[0] == 200
    assert (await ask(service, bearer("ani")))[0] == 429


async def test_metrics_tell_how_many_were_refused(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.01, user_burst_max_requests=1)
    for _ in range(3):
        await ask(service, bearer("ani"))
    async with service.client.get("/metrics") as response:
        text = await response.text()
    assert 'tayang_requests_rate_limited_total{kind="user",worker="0"} 2.0' in text
    assert 'tayang_rate_limit_callers{kind="user",worker="0"} 1.0' in text


async def test_whoever_is_not_let_in_takes_nothing_of_the_users_rate(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.01, user_burst_max_requests=1)
    for _ in range(5):
        assert (await ask(service, {"Authorization": bearer("ani")["Authorization"] + "x"}))[0] == 401
    assert (await ask(service, bearer("ani")))[0] == 200
