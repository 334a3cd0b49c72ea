"""`GET /v1/admin/explain` in both processes: the verdicts of the popups, with reasons, figures and times."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from api.campaigns.fields import WEEKDAYS
from tests.support.database import Database
from tests.support.explained import ADMIN, Document, ask, backoffice, codes, explained, texts, verdict
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.waiting import until

NOW = datetime.now(UTC)
#: The days of the week that are not today anywhere.
FAR_DAYS = [WEEKDAYS[(NOW.weekday() + days) % 7] for days in (3, 4)]


@pytest.fixture
async def office(database: Database) -> AsyncIterator[aiohttp.ClientSession]:
    async with backoffice(database) as client:
        yield client


async def write_policy(service: Service, **policy: Any) -> None:
    async with service.client.put(
        "/v1/admin/policy", json=policy, headers={**ADMIN, "If-Match": "*"}
    ) as response:
        assert response.status == 200, await response.text()
    await service.database.caught_up()


async def interact(service: Service, user: str, token: str, kind: str) -> None:
    document = {"token": token, "kind": kind}
    async with service.client.post("/v1/interactions", json=document, headers=bearer(user)) as response:
        assert response.status == 202, await response.text()


async def both(
    service: Service,
    office: aiohttp.ClientSession,
    user: str,
    campaign: str,
    placement: str = "",
    **parameters: object,
) -> Document:
    """The same verdict of both processes; the placement is called as the campaign."""
    place = placement or campaign
    first = await verdict(service.client, user, campaign, place, **parameters)

    async def the_same() -> bool:
        said = await verdict(office, user, campaign, place, **parameters)
        return _without_times(said) == _without_times(first)

    await until(the_same, f"the backoffice says of {campaign} what the api process says")
    return first


def _without_times(told: Document) -> Document:
    """Whose figures of a budget they are is said; an even pace goes on meanwhile."""
    reasons = [{**each, "detail": {**each["detail"], "source": ""}} for each in told["reasons"]]
    if told["verdict"] == "paced":
        return {"verdict": "paced"}
    return {**told, "reasons": reasons}


async def test_what_speaks_against_a_campaign_for_everybody(
    service: Service, office: aiohttp.ClientSession
) -> None:
    android_or_ios = {"attribute": "platform", "op": "in", "value": ["android", "ios"]}
    indonesia = {"attribute": "country", "op": "eq", "value": "ID"}
    not_gold = {"not": {"attribute": "attr.tier", "op": "eq", "value": "gold"}}
    await service.create("other", placement="cart")
    await service.create(
        "targeted", placement="targeted", targeting={"all": [android_or_ios, indonesia, not_gold]}
    )
    zone = {"timezone": "Asia/Jakarta"}
    await service.create("early", placement="early", starts_at="2126-11-01T00:00:00+07:00", **zone)
    await service.create("late", placement="late", ends_at="2026-02-01T12:30:45+07:00", **zone)
    closed_today = [{"days": FAR_DAYS, "from": "08:00", "to": "22:00"}]
    await service.create("closed", placement="closed", schedule=closed_today)
    await service.create("listed", placement="listed", audience="listed")

    other = await both(service, office, "ani", "other", placement="home")
    assert texts(other) == ["it is for cart, not for home"]
    attributes = {"platform": "web", "attr.tier": "gold"}
    targeted = await both(service, office, "ani", "targeted", **attributes)
    needs = "it needs platform = android or ios and country = ID and not (attr.tier = gold)"
    assert texts(targeted) == [f"{needs}; the request has attr.tier = gold, no country, platform = web"]
    assert targeted["reasons"][0]["detail"] == {
        "conditions": [android_or_ios, indonesia, not_gold],
        "given": {"attr.tier": "gold", "country": None, "platform": "web"},
    }
    early = await both(service, office, "ani", "early")
    assert texts(early) == ["it has not started; from 2126-11-01 00:00 WIB"]
    assert early["again_from"] == {"at": "2126-10-31T17:00:00Z", "local": "2126-11-01 00:00 WIB"}
    late = await both(service, office, "ani", "late")
    assert texts(late) == ["it ended at 2026-02-01 12:30:45 WIB"]
    assert late["again_from"] is None
    closed = await both(service, office, "ani", "closed")
    opens = closed["again_from"]["local"]
    assert opens.endswith(" 08:00 UTC")
    assert texts(closed) == [f"outside its hours (by the clock of UTC); again from {opens}"]
    listed = await both(service, office, "ani", "listed")
    assert texts(listed) == ["the user is not on its audience list"]


async def test_what_the_user_has_seen_and_done(
    service: Service, office: aiohttp.ClientSession, database: Database
) -> None:
    daily = {"caps": [{"limit": 1, "window": "day"}], "cooldown": "2h", "timezone": "Asia/Jakarta"}
    await service.create("day", placement="day", **daily)
    await service.create("ever", placement="ever", caps=[{"limit": 1, "window": "lifetime"}])
    await service.create("session", placement="session", caps=[{"limit": 1, "window": "session"}])
    await service.create("cooling", placement="cooling", cooldown="30m")
    await service.create("clicked", placement="clicked", stop_after={"click": 1})
    for query in ("placement=day", "placement=ever", "placement=cooling", "placement=session&session=s1"):
        await service.show("ani", query)
    (popup,) = await service.popups("ani", "placement=clicked")
    assert (await service.post("ani", {"token": popup["token"]}))[0] == 202
    await interact(service, "ani", popup["token"], "click")
    await database.merge()

    day = await both(service, office, "ani", "day")
    assert codes(day) == ["capped", "cooling_down"]
    midnight = day["reasons"][0]["again_from"]["local"]
    assert midnight.endswith(" 00:00 WIB")
    assert texts(day)[0] == f"shown 1 time on this day, the limit is 1; again from {midnight}"
    ever = await both(service, office, "ani", "ever")
    assert texts(ever) == ["shown 1 time ever, the limit is 1: for good"]
    no_session = await both(service, office, "ani", "session")
    assert no_session["verdict"] == "no_session"
    assert texts(no_session) == ["it has a cap for each session, and the request names none (session=)"]
    in_session = await both(service, office, "ani", "session", session="s1")
    assert in_session["verdict"] == "capped"
    assert texts(in_session) == ["shown 1 time in this session, the limit is 1"]
    assert (await both(service, office, "ani", "session", session="s2"))["verdict"] == "shown"
    cooling = await both(service, office, "ani", "cooling")
    assert texts(cooling) == [f"shown less than 30m ago; again from {cooling['again_from']['local']}"]
    clicked = await both(service, office, "ani", "clicked")
    assert texts(clicked) == ["the user has clicked it 1 time, and it stops after 1: for good"]
    assert clicked["counts"]["clicks"] == 1


async def test_soft_budgets_and_paces(
    service: Service, office: aiohttp.ClientSession, database: Database
) -> None:
    await service.create("spent", placement="spent", budget={"total": 1})
    await service.create(
        "paced",
        placement="paced",
        starts_at=(NOW - timedelta(hours=1)).isoformat(),
        ends_at=(NOW + timedelta(days=300)).isoformat(),
        budget={"total": 10, "pacing": "even"},
    )
    await shown_once_known(service, "spent")
    await shown_once_known(service, "paced")
    await database.merge()

    spent = await both(service, office, "ani", "spent")
    assert texts(spent) == ["1 of 1 impressions of its budget are spent: for good"]
    paced = await both(service, office, "ani", "paced")
    assert paced["verdict"] == "paced"
    assert texts(paced)[0].startswith("1 impressions of its budget, and the even pace allows 1 by now")


async def shown_once_known(service: Service, placement: str) -> None:
    """A soft budget is served from when this process knows what it has spent."""
    served: list[Document] = []

    async def serves() -> bool:
        served.extend(await service.popups("budi", f"placement={placement}"))
        return bool(served)

    await until(serves, f"the budget of {placement} is known")
    assert (await service.post("budi", {"token": served[0]["token"]}))[0] == 202


async def test_what_is_not_live_is_told_from_the_database(
    service: Service, office: aiohttp.ClientSession
) -> None:
    await service.create("live")
    for status in ("draft", "paused", "archived"):
        await service.create(status, status=status, placement="cart" if status == "draft" else "home")

    for client in (service.client, office):
        answer = await explained(client, "ani")
        assert [(each["campaign"], each["verdict"]) for each in answer["campaigns"]] == [
            ("live", "shown"),
            ("archived", "not_live"),
            ("paused", "not_live"),
            ("draft", "not_live"),
        ]
        draft = answer["campaigns"][-1]
        assert codes(draft) == ["not_live", "other_placement"]
        assert texts(draft)[0] == "its status is draft: only live campaigns are shown"
        assert draft["reasons"][0]["detail"] == {"status": draft["status"]} == {"status": "draft"}
        assert await verdict(client, "ani", "draft") == draft
        assert await verdict(client, "ani", str(draft["id"])) == draft

    async with service.client.patch(
        "/v1/admin/campaigns/paused", json={"status": "live"}, headers={**ADMIN, "If-Match": "*"}
    ) as response:
        assert response.ok
    await service.database.caught_up()
    assert (await explained(service.client, "ani"))["popups"].count("paused") == 1


async def test_the_policy_and_the_tags_tell_whose_limit_it_is(
    service: Service, office: aiohttp.ClientSession, database: Database
) -> None:
    await write_policy(
        service,
        caps=[{"limit": 2, "window": "lifetime"}],
        min_gap="1h",
        tags={"promo": {"caps": [{"limit": 1, "window": "week"}], "min_gap": "1d"}, "in-app": SESSION_TAG},
    )
    for key in ("first", "second"):
        await service.create(key, placement=key, tags=["promo"])
    await service.create("plain", placement="plain")
    await service.create("tag-session", placement="tag-session", tags=["in-app"])
    await service.create("exempt", placement="exempt", tags=["promo"], exempt=True)
    assert (await both(service, office, "ani", "first"))["verdict"] == "shown"

    await service.show("ani", "placement=first")
    await database.merge()
    plain = await both(service, office, "ani", "plain")
    assert texts(plain) == [
        f"it is too soon: the policy wants 1h between two popups; again from {plain['again_from']['local']}"
    ]
    second = await both(service, office, "ani", "second")
    assert codes(second) == ["policy_gap", "tag_capped", "tag_gap"]
    assert texts(second)[1].startswith(
        "campaigns with the tag promo were shown 1 time in this week, the limit of the tag promo is 1; again"
    )
    assert texts(second)[2].startswith(
        "it is too soon: the tag promo wants 1d between two popups; again from"
    )
    assert (await both(service, office, "ani", "exempt"))["verdict"] == "shown"
    assert texts(await both(service, office, "budi", "tag-session")) == [
        "the tag in-app has a cap for each session, and the request names none (session=)"
    ]

    await write_policy(service, caps=[{"limit": 1, "window": "lifetime"}])
    capped = await both(service, office, "ani", "plain")
    assert texts(capped) == ["campaigns were shown 1 time ever, the limit of the policy is 1: for good"]


SESSION_TAG = {"caps": [{"limit": 1, "window": "session"}]}


async def test_what_the_same_answer_shows_counts_in_the_policy(service: Service) -> None:
    await write_policy(service, caps=[{"limit": 1, "window": "24h"}], min_gap="60s")
    for number, key in enumerate(("first", "second")):
        await service.create(key, priority=number)

    answer = await explained(service.client, "ani")

    assert answer["popups"] == ["first"] == [each["campaign"] for each in await service.popups("ani")]
    second = answer["campaigns"][1]
    assert codes(second) == ["policy_capped", "policy_gap"]
    assert texts(second)[0].startswith(
        "campaigns were shown 1 time in 24h (with 1 of this answer), the limit of the policy is 1; again from"
    )
    assert texts(second)[1].startswith("it would follow another popup of this answer: the policy wants 1m")


async def test_who_is_held_out_is_told_of_ghosts(
    service: Service, office: aiohttp.ClientSession, database: Database
) -> None:
    await service.create(
        "trial", placement="trial", holdout_percent=100, caps=[{"limit": 1, "window": "day"}]
    )
    held_out = await both(service, office, "ani", "trial")
    assert held_out["verdict"] == "held_out"
    assert texts(held_out) == ["the user is in its holdout of 100 %"]
    assert held_out["variant"] == "a"

    assert await service.popups("ani", "placement=trial") == []
    await database.merge()
    capped = await both(service, office, "ani", "trial")
    assert codes(capped) == ["capped", "held_out"]
    assert texts(capped)[0].startswith(
        "shown 1 time on this day, the limit is 1 (counting what was held back from this user); again from"
    )
    assert capped["counts"]["ghosts"] is True

    await write_policy(service, holdout_percent=100)
    await service.create("plain", placement="plain")
    everywhere = await both(service, office, "ani", "plain")
    assert texts(everywhere) == ["the user is in the global holdout of 100 %"]
    answer = await explained(service.client, "ani", "plain")
    assert (answer["globally_held_out"], answer["popups"]) == (True, [])


async def test_a_test_user_is_never_held_out(service: Service) -> None:
    await service.create("trial", holdout_percent=100)
    async with service.client.put("/v1/admin/test-users/ani", json={}, headers=ADMIN) as response:
        assert response.ok, await response.text()
    await service.database.caught_up()

    answer = await explained(service.client, "ani")

    assert (answer["test_user"], answer["popups"]) == (True, ["trial"])
    assert (await explained(service.client, "budi"))["test_user"] is False


async def test_the_order_and_why(service: Service) -> None:
    await service.create("urgent", priority=10)
    await service.create("seen", priority=20)
    await service.create("unseen", priority=20)
    await service.create("last", priority=30)
    assert await service.show("ani", "placement=home") == "urgent"
    popups = await service.popups("ani")
    token = next(popup["token"] for popup in popups if popup["campaign"] == "seen")
    await service.post("ani", {"token": token})

    answer = await explained(service.client, "ani", limit=3)

    assert answer["popups"] == [each["campaign"] for each in await service.popups("ani", HOME_3)]
    assert [(each["campaign"], each["verdict"], each["rank"]) for each in answer["campaigns"]] == [
        ("urgent", "shown", 1),
        ("unseen", "shown", 2),
        ("seen", "shown", 3),
        ("last", "outranked", 4),
    ]
    urgent, unseen, seen, last = (each["order"] for each in answer["campaigns"])
    assert urgent["why"] == "priority 10 before 20 (unseen)"
    assert unseen["why"].startswith("never shown, before shown 2")
    assert unseen["why"].endswith(" UTC (seen)")
    assert seen["why"] == "priority 20 before 30 (last)"
    assert last["why"] is None
    assert (unseen["last_shown_at"], unseen["priority"]) == (None, 20)
    assert seen["last_shown_at"] is not None
    assert texts(answer["campaigns"][3]) == ["others come before it, and the request asks for 3 popups"]
    assert answer["pending_events"] == 2


HOME_3 = "placement=home&limit=3"


async def test_ties_are_told_as_such(service: Service) -> None:
    await service.create("one")
    await service.create("two")
    first, second = (await explained(service.client, "ani"))["campaigns"]
    assert first["order"]["why"] == f"as {second['campaign']}, and the user's own order between them decides"
    assert first["order"]["tie_break"] < second["order"]["tie_break"]
    assert second["order"]["why"] == "no other comes after it"


async def test_it_is_shown_again_when_it_says_so_and_not_a_microsecond_before(service: Service) -> None:
    await service.create("day", caps=[{"limit": 1, "window": "day"}], timezone="Asia/Jakarta", cooldown="3m")
    await service.create("hours", caps=[{"limit": 1, "window": "36h"}])
    for _ in range(2):
        await service.show("ani")

    for key in ("day", "hours"):
        told = await verdict(service.client, "ani", key)
        assert told["verdict"] == "capped"
        again = datetime.fromisoformat(told["again_from"]["at"])
        before = again - timedelta(microseconds=1)
        assert (await verdict(service.client, "ani", key, at=before.isoformat()))["verdict"] != "shown"
        then = await verdict(service.client, "ani", key, at=again.isoformat())
        assert (then["verdict"], then["reasons"]) == ("shown", [])


async def test_it_is_not_promised_for_after_the_end(service: Service) -> None:
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    await service.create("short", caps=[{"limit": 1, "window": "24h"}], ends_at=ends_at.isoformat())
    await service.show("ani")

    told = await verdict(service.client, "ani", "short")

    assert told["reasons"][0]["again_from"] is not None
    assert told["again_from"] is None


async def test_counts_are_those_of_the_popups_and_their_age_is_told(
    service: Service, office: aiohttp.ClientSession, database: Database
) -> None:
    await service.create("sale", caps=[{"limit": 1, "window": "24h"}])
    await service.show("ani")

    answer = await explained(service.client, "ani")
    assert answer["pending_events"] == 1
    assert answer["campaigns"][0]["counts"]["impressions"] == 1
    behind = await explained(office, "ani")
    assert (behind["pending_events"], behind["popups"]) == (0, ["sale"]), "it knows what is merged"

    await database.merge()
    for client in (service.client, office):
        merged = await explained(client, "ani")
        assert (merged["pending_events"], merged["popups"]) == (0, [])
        assert merged["source"] == "replica"
        assert 0 <= merged["age_seconds"] < 60
        assert datetime.fromisoformat(merged["as_of"]) > datetime.fromisoformat(answer["as_of"])


async def test_hard_budgets_by_units_of_the_process_and_by_their_account(
    service: Service, office: aiohttp.ClientSession, database: Database
) -> None:
    await service.create("hard", budget={"per_day": 1, "hard": True}, timezone="Asia/Jakarta")

    async def shown() -> bool:
        return bool((await explained(service.client, "ani"))["popups"])

    await until(shown, "the process has a unit")
    assert (await explained(office, "ani"))["popups"] == ["hard"], "a unit that is leased is room"
    await service.show("ani")
    await database.caught_up()

    by_units = await verdict(service.client, "budi", "hard")
    assert texts(by_units) == ["this process has no free unit of its budget for the day; 1 of 1 are spent"]
    by_account = await verdict(office, "budi", "hard")
    assert by_account["verdict"] == "out_of_budget"
    assert by_account["reasons"][0]["detail"] == {
        "limit": "per_day",
        "used": 1,
        "allowed": 1,
        "leased": 0,
        "opened": True,
        "source": "account",
    }
    again = by_account["again_from"]
    assert again["local"].endswith(" 00:00 WIB")
    for client in (service.client, office):
        tomorrow = await verdict(client, "budi", "hard", at=again["at"])
        assert tomorrow["verdict"] == "shown", "of the day that is asked about"


@pytest.mark.parametrize(
    "query", ["", "platform=ios", "limit=1", "limit=2&platform=android&tz=Asia%2FJakarta", "session=s"]
)
async def test_the_popups_are_those_of_get_before_and_after(service: Service, query: str) -> None:
    await service.create("android", targeting={"attribute": "platform", "op": "eq", "value": "android"})
    await service.create("ios", targeting={"attribute": "platform", "op": "eq", "value": "ios"}, priority=1)
    await service.create("session", caps=[{"limit": 1, "window": "session"}])
    await service.create("plain", caps=[{"limit": 2, "window": "day"}], cooldown="1s", tags=["promo"])
    asked = f"placement=home&{query}"
    for _ in range(4):
        before = [popup["campaign"] for popup in await service.popups("ani", asked)]
        async with service.client.get(f"/v1/admin/explain?user_id=ani&{asked}", headers=ADMIN) as response:
            answer = await response.json()
        assert answer["popups"] == before == [each["campaign"] for each in await service.popups("ani", asked)]
        if before:
            await service.show("ani", asked)


async def test_an_unknown_user_has_seen_nothing(service: Service) -> None:
    await service.create("sale", caps=[{"limit": 1, "window": "day"}])
    told = (await explained(service.client, "Ani Wijaya, née Ö"))["campaigns"]
    assert [(each["verdict"], each["counts"]) for each in told] == [("shown", None)]


@pytest.mark.parametrize(
    ("parameters", "status", "parameter"),
    [
        ({"placement": "home"}, 400, "user_id"),
        ({"user_id": "", "placement": "home"}, 400, "user_id"),
        ({"user_id": "a\nb", "placement": "home"}, 400, "user_id"),
        ({"user_id": "a" * 129, "placement": "home"}, 400, "user_id"),
        ({"user_id": "ani"}, 400, "placement"),
        ({"user_id": "ani", "placement": "home", "limit": "0"}, 400, "limit"),
        ({"user_id": "ani", "placement": "home", "tz": "Mars"}, 400, "tz"),
        ({"user_id": "ani", "placement": "home", "at": "now"}, 400, "at"),
        ({"user_id": "ani", "placement": "home", "at": "2026-11-23T00:00:00"}, 400, "at"),
        ({"user_id": "ani", "placement": "home", "at": "2026-11-23T00:00:00 07:00"}, 400, "at"),
        ({"user_id": "ani", "placement": "home", "campaign": ""}, 400, "campaign"),
        ({"user_id": "ani", "placement": "home", "campaign": "none-such"}, 404, "campaign"),
        ({"user_id": "ani", "placement": "home", "campaign": "9" * 30}, 404, "campaign"),
    ],
)
async def test_bad_parameters_are_named(
    service: Service, parameters: dict[str, str], status: int, parameter: str
) -> None:
    answered, problem = await ask(service.client, **parameters)
    assert (answered, problem["parameter"]) == (status, parameter)
    assert problem["detail"].startswith(f"{parameter}")


async def test_only_the_admin_key_may_ask(service: Service) -> None:
    query = urlencode({"user_id": "ani", "placement": "home"})
    for headers in ({}, bearer("ani")):
        async with service.client.get(f"/v1/admin/explain?{query}", headers=headers) as response:
            assert response.status == 401


async def test_without_a_server_it_says_so(start_service: ServiceFactory) -> None:
    service = await start_service()
    for server in service.delivery.reader.servers:
        server.connected.clear()
    status, problem = await ask(service.client, user_id="ani", placement="home")
    assert (status, problem["code"]) == (503, "unavailable")
