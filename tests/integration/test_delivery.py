"""The engine behind HTTP and before the merge: sessions, policy, holdouts, previews, test users."""

from typing import Any

import pytest

from api.campaigns.experiments import hash_of, holdout
from buffer.contract import KIND_GHOST, KIND_GHOST_CONVERT, KIND_IMPRESSION, KIND_SERVED
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, Service, ServiceFactory, bearer
from tests.support.waiting import until

HOME = "placement=home"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def keys(service: Service, user: str, query: str = HOME) -> list[str]:
    return [popup["campaign"] for popup in await service.popups(user, query)]


async def put(service: Service, path: str, document: Any, **headers: str) -> None:
    sent = ADMIN | headers
    async with service.client.put(path, json=document, headers=sent) as answer:
        assert answer.ok, await answer.text()
    await service.database.caught_up()


async def policy(service: Service, document: dict[str, Any]) -> None:
    await put(service, "/v1/admin/policy", document, **{"If-Match": "*"})


async def interact(service: Service, user: str, token: str, kind: str) -> int:
    event = {"token": token, "kind": kind}
    async with service.client.post("/v1/interactions", json=event, headers=bearer(user)) as answer:
        return answer.status


def user_drawn(key: str, percent: float, *, held_out: bool) -> str:
    draw = holdout(key, percent)
    assert draw is not None
    users = (f"user {number}" for number in range(10_000))
    return next(user for user in users if draw.holds_out(hash_of(user.encode())) is held_out)


async def log_of(database: Database, user: str) -> list[tuple[int, int]]:
    primary = await database.primary()
    rows = await primary.fetch(
        "SELECT kind, campaign_id FROM impressions WHERE user_id = $1 ORDER BY 1", user
    )
    return [(row["kind"], row["campaign_id"]) for row in rows]


@pytest.fixture(params=["before the merge", "after it"])
async def merged(request: pytest.FixtureRequest, database: Database) -> Any:
    async def merge() -> None:
        if request.param == "after it":
            await database.merge()

    return merge


async def test_a_session_cap_is_of_the_session(service: Service, merged: Any) -> None:
    await service.create("once", caps=[{"limit": 1, "window": "session"}])
    assert await service.show("ani", f"{HOME}&session=monday") == "once"
    await merged()
    assert await keys(service, "ani", f"session=monday&{HOME}") == []
    assert await keys(service, "ani", f"{HOME}&session=tuesday") == ["once"]
    assert await keys(service, "budi", f"{HOME}&session=monday") == ["once"]
    assert await keys(service, "ani") == [], "without a session it can't be counted, and is not guessed"


async def test_a_policy_holds_across_campaigns_and_in_one_answer(service: Service, merged: Any) -> None:
    for number in range(4):
        await service.create(f"c{number}", priority=number, exempt=number == 3, tags=["promo"])
    await policy(service, {"caps": [{"limit": 2, "window": "day"}]})
    assert await keys(service, "ani") == ["c0", "c1", "c3"], "two that count, and the exempt one"
    assert await service.show("ani") == "c0"
    await merged()
    assert await keys(service, "ani") == ["c0", "c3"]
    assert await service.show("ani") == "c0"
    await merged()
    assert await keys(service, "ani") == ["c3"]
    await policy(service, {"min_gap": "1h"})
    assert await keys(service, "ani") == ["c3"]
    assert await keys(service, "budi") == ["c0", "c3"]


async def test_who_is_held_out_leaves_a_ghost_after_all_caps(
    service: Service, database: Database, merged: Any
) -> None:
    number = await service.create("lift", holdout_percent=50, caps=[{"limit": 1, "window": "day"}])
    await service.create("other", priority=200)
    user = user_drawn("lift", 50, held_out=True)

    status, answer = await service.get_popups(user, f"{HOME}&limit=1")
    assert status == 200
    assert [popup["campaign"] for popup in answer["popups"]] == ["other"], "the next one in its place"
    (ghost,) = answer["held_out"]
    assert (ghost["campaign"], ghost["variant"]) == ("lift", "a")
    await merged()
    _, again = await service.get_popups(user)
    assert "held_out" not in again, "capped, as the popup would have been"

    assert (await service.post(user, {"token": ghost["token"]}))[0] == 409
    assert await interact(service, user, ghost["token"], "click") == 409
    assert await interact(service, user, ghost["token"], "convert") == 202
    assert await interact(service, user, ghost["token"], "convert") == 202
    await database.merge()
    assert await log_of(database, user) == [(KIND_GHOST, number), (KIND_GHOST_CONVERT, number)]
    primary = await database.primary()
    rows = await primary.fetch("SELECT campaign_id, total, conversions FROM user_campaign_counts")
    assert [tuple(row) for row in rows] == [(-number, 1, 1)]


async def test_who_is_served_in_an_experiment_is_marked_once(service: Service, database: Database) -> None:
    number = await service.create("lift", holdout_percent=50)
    served = user_drawn("lift", 50, held_out=False)
    for _ in range(3):
        assert await keys(service, served) == ["lift"]
    await database.merge()
    assert await keys(service, served) == ["lift"]
    await service.show(served)
    await database.merge()
    assert await log_of(database, served) == [(KIND_IMPRESSION, number), (KIND_SERVED, number)]


async def test_a_user_of_the_global_holdout_sees_what_is_exempt_and_nothing_else(service: Service) -> None:
    await service.create("ad")
    await service.create("outage", exempt=True)
    await policy(service, {"holdout_percent": 100})
    status, answer = await service.get_popups("ani")
    assert status == 200
    assert [popup["campaign"] for popup in answer["popups"]] == ["outage"]
    assert [ghost["campaign"] for ghost in answer["held_out"]] == ["ad"]


async def test_marks_that_find_no_room_fail_no_answer(start_service: ServiceFactory) -> None:
    service = await start_service(pending_max_rows=1)
    await service.create("lift", holdout_percent=100)
    for user in ("ani", "budi"):
        status, answer = await service.get_popups(user)
        assert (status, answer["popups"]) == (200, [])
    assert "held_out" not in answer, "a ghost that is not noted is no ghost"
    assert service.delivery.marks_left_out == 1


async def test_stopped_after_interactions(service: Service, merged: Any) -> None:
    await service.create("stop", stop_after={"dismiss": 2})
    for remaining in (["stop"], []):
        token = (await service.popups("ani"))[0]["token"]
        assert await interact(service, "ani", token, "dismiss") == 202
        assert await interact(service, "ani", token, "dismiss") == 202, "again: it counts once"
        await merged()
        assert await keys(service, "ani") == remaining
    assert await keys(service, "budi") == ["stop"]


async def test_a_preview_shows_a_draft_and_counts_nowhere(service: Service, database: Database) -> None:
    number = await service.create("draft", status="draft", caps=[{"limit": 1, "window": "lifetime"}])
    await service.create("live")
    async with service.client.post(
        f"/v1/admin/campaigns/{number}/preview", json={}, headers=ADMIN
    ) as response:
        assert response.status == 201, await response.text()
        preview = (await response.json())["preview"]
    await database.caught_up()
    for _ in range(2):
        popups = await service.popups("ani", f"{HOME}&preview={preview}")
        assert [popup["campaign"] for popup in popups] == ["draft", "live"]
        assert popups[0]["preview"] is True
        assert "preview" not in popups[1]
        assert (await service.post("ani", {"token": popups[0]["token"]}))[0] == 202
        assert await interact(service, "ani", popups[0]["token"], "click") == 202
    await database.merge()
    assert await log_of(database, "ani") == []
    assert await keys(service, "ani") == ["live"]
    assert await keys(service, "ani", f"{HOME}&limit=1&preview={preview}") == ["draft"]
    status, problem = await service.get_popups("ani", f"{HOME}&preview=forged")
    assert (status, problem["parameter"]) == (400, "preview")


async def test_the_events_of_test_users_never_count(service: Service, database: Database) -> None:
    await service.create("once", caps=[{"limit": 1, "window": "lifetime"}], holdout_percent=100)
    before = (await service.get_popups("ani"))[1]
    assert before["popups"] == []
    await put(service, "/v1/admin/test-users/ani", {})
    for _ in range(2):
        assert await service.show("ani") == "once", "never held out, never capped by what they do"
    await database.merge()
    assert [kind for kind, _ in await log_of(database, "ani")] == [KIND_GHOST], "from before"


async def test_reasons_are_counted_by_campaign_and_day(start_service: ServiceFactory) -> None:
    service = await start_service(no_show_interval_seconds=0.05)
    campaigns: dict[str, dict[str, Any]] = {
        "capped": {"caps": [{"limit": 1, "window": "day"}], "priority": 1},
        "ios": {"targeting": {"attribute": "platform", "op": "eq", "value": "ios"}},
        "first": {"priority": 2},
        "last": {"priority": 3},
    }
    for key, fields in campaigns.items():
        await service.create(key, **fields)
    assert await service.show("ani", f"{HOME}&limit=1&platform=android") == "capped"
    for _ in range(4):
        assert await keys(service, "ani", f"{HOME}&limit=1&platform=android") == ["first"]

    async def told(key: str) -> dict[str, int]:
        async with service.client.get(f"/v1/admin/campaigns/{key}/no-shows", headers=ADMIN) as response:
            days = (await response.json())["days"]
        return {day["reason"]: day["requests"] for day in days}

    async def all_told() -> bool:
        return await told("capped") == {"capped": 4} and await told("last") == {"outranked": 5}

    await until(all_told, "what was counted is written")
    assert await told("ios") == {"targeting": 5}
    assert await told("first") == {"outranked": 1}
