"""The reference client of docs/clients/python against the real service."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from tayang_client import Kind, Popup, ServerTime, TayangError
from tests.support.database import Database
from tests.support.keys import new_key
from tests.support.phone_client import phone
from tests.support.servers import suspended
from tests.support.service import Service, ServiceFactory, user_jwt
from tests.support.tokens import token


def url(service: Service) -> str:
    return "http://{}:{}".format(*service.address)


def popup(text: str) -> Popup:
    return Popup("sale", "a", text, {}, None)


async def counted(database: Database, user: str) -> tuple[int, int, int]:
    """Impressions, clicks and dismissals, after a merge."""
    await database.merge()
    row = await (await database.primary()).fetchrow(
        "SELECT sum(total)::int, sum(clicks)::int, sum(dismissals)::int FROM user_campaign_counts "
        "WHERE user_id = $1",
        user,
    )
    return tuple(row) if row is not None and row[0] is not None else (0, 0, 0)


async def minutes_since_shown(database: Database) -> float:
    """Of the only event."""
    await database.merge()
    occurred_at = await (await database.primary()).fetchval("SELECT occurred_at FROM impressions")
    return float((datetime.now(UTC) - occurred_at) / timedelta(minutes=1))


@asynccontextmanager
async def something_in_between(status: int, body: str) -> AsyncIterator[str]:
    """A captive portal, or a proxy without a backend: the same answer to everything."""

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text=body)

    server = RawTestServer(answer)
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


async def test_fetch_show_click_and_confirm(service: Service, tmp_path: Path) -> None:
    await service.create("sale", caps=[{"limit": 2, "window": "24h"}])
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        for _ in range(2):
            answer = await ani.client.popups("home", platform="android")
            [shown] = answer.popups
            assert ani.client.may_show(shown)
            assert answer.next_fetch_seconds == 60
            ani.client.shown(shown)
            ani.client.shown(shown)
            ani.client.did(shown, "click")
        # Asking confirms first, so the cap has both of them.
        assert (await ani.client.popups("home")).popups == []
        assert (len(ani.outbox), ani.drops) == (0, [])
    assert await counted(service.database, "ani") == (2, 2, 0)


async def test_impressions_go_first_since_caps_count_them(tmp_path: Path) -> None:
    async with phone("http://nowhere", "ani", tmp_path / "events") as ani:
        kinds: list[Kind] = ["click", "impression", "dismiss", "impression"]
        for kind in kinds:
            ani.outbox.add("ani", f"{kind} {len(ani.outbox)}", kind, "2026-11-23T10:00:00Z")
        first = ani.outbox.first("ani", 100)
        assert [event.token for event in first] == ["impression 1", "impression 3"]
        ani.outbox.remove(first)
        assert [event.kind for event in ani.outbox.first("ani", 100)] == ["click", "dismiss"]


async def test_a_backend_acts_for_its_users_with_a_key(service: Service, tmp_path: Path) -> None:
    await service.create("sale")
    _, text = await new_key(service.database, "deliver", "ingest")

    async def key(_refused: bool) -> str:
        return text

    async with phone(url(service), "ani", tmp_path / "events", credentials=key, as_service=True) as crm:
        crm.client.shown((await crm.client.popups("home")).popups[0])
        await crm.send()
    assert await counted(service.database, "ani") == (1, 0, 0)


async def test_held_out_is_kept_for_conversions(service: Service, tmp_path: Path) -> None:
    await service.create("sale", holdout_percent=100)
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        answer = await ani.client.popups("home")
        assert answer.popups == []
        [kept] = answer.held_out
        assert not ani.client.may_show(kept)
        ani.client.did(kept, "convert")
        await ani.send()
        ani.client.shown(kept)
        await ani.send()
    assert ani.drops == [("impression", "token_held_out")]


async def test_tokens_that_will_never_count_are_dropped_and_told_of_and_the_others_count(
    service: Service, tmp_path: Path
) -> None:
    campaign = await service.create("sale")
    good = [token("ani", campaign_id=campaign) for _ in range(150)]
    bad = {
        "token_expired": token("ani", campaign_id=campaign, served_seconds_ago=90_000),
        "token_foreign": token("budi", campaign_id=campaign),
        "token_forged": good[0][:-2] + ("AA" if good[0][-2:] != "AA" else "BB"),
        "token_malformed": "none",
    }
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        for text in [*good[:75], *bad.values(), *good[75:]]:
            ani.client.shown(popup(text))
        await ani.send()
        assert sorted(code for _, code in ani.drops) == sorted(bad)
        for text in bad.values():  # each alone: then the answer's status is the refusal
            ani.client.shown(popup(text))
            await ani.send()
        assert [code for _, code in ani.drops[len(bad) :]] == list(bad)
    assert await counted(service.database, "ani") == (150, 0, 0)


async def test_a_reserved_popup_that_was_shown_too_late_is_dropped(service: Service, tmp_path: Path) -> None:
    campaign = await service.create("sale", budget={"total": 10, "hard": True})
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        await ani.client.popups("home")  # so the process knows the campaign
        ani.client.shown(popup(token("ani", campaign_id=campaign)))  # of before it was hard
        await ani.send()
    assert ani.drops == [("impression", "reservation_expired")]


async def test_a_list_that_is_too_large_for_the_service_is_sent_in_parts(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    service = await start_service(body_max_bytes=1024)
    campaign = await service.create("sale")
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        for _ in range(20):
            ani.client.shown(popup(token("ani", campaign_id=campaign)))
        await ani.send()
        assert ani.drops == []
    assert await counted(service.database, "ani") == (20, 0, 0)


async def test_429_is_waited_for_and_both_methods_wait(start_service: ServiceFactory, tmp_path: Path) -> None:
    service = await start_service(user_max_requests_per_second=0.2, user_burst_max_requests=1)
    limit = service.delivery.limits.users
    assert limit is not None
    ticks = limit._clock_ns()
    limit._clock_ns = lambda: ticks + int((ani.clock.seconds - 1000) * 1e9)
    await service.create("sale")
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        ani.client.shown((await ani.client.popups("home")).popups[0])
        assert await ani.client.flush() == 6.0  # 5 of Retry-After, and 1 of the first pause
        assert limit.refused == 1
        with pytest.raises(TayangError, match="waiting") as caught:
            await ani.client.popups("home")
        assert caught.value.retry_seconds == 6.0
        ani.clock.seconds += 5.5
        assert await ani.client.flush() == 0.5
        assert limit.refused == 1, "nothing was asked meanwhile"
        ani.clock.seconds += 0.5
        await ani.send()
    assert await counted(service.database, "ani") == (1, 0, 0)


async def test_503_is_waited_for_while_popups_go_on_and_the_event_counts_once(
    start_service: ServiceFactory, database: Database, tmp_path: Path
) -> None:
    service = await start_service(ack_timeout_seconds=0.3)
    await service.create("sale")
    async with phone(url(service), "ani", tmp_path / "events") as ani:
        ani.client.shown((await ani.client.popups("home")).popups[0])
        async with suspended(database.cluster, database.cluster.primary):
            assert await ani.client.flush() == 2.0
            assert len(ani.outbox) == 1
            assert len((await ani.client.popups("home")).popups) == 1
            ani.clock.seconds += 2.0
            assert await ani.client.flush() == 3.0  # 1 of Retry-After, and twice the pause
        ani.clock.seconds += 3.0
        await ani.send()
    assert await counted(database, "ani") == (1, 0, 0)


async def test_a_refused_jwt_is_fetched_anew_once(service: Service, tmp_path: Path) -> None:
    await service.create("sale")
    asked: list[bool] = []
    jwt = ["an.old.one"]

    async def credentials(refused: bool) -> str:
        asked.append(refused)
        if refused:
            jwt[0] = user_jwt("ani") if len(asked) > 4 else "no.better.one"
        return jwt[0]

    async with phone(url(service), "ani", tmp_path / "events", credentials=credentials) as ani:
        with pytest.raises(TayangError) as caught:
            await ani.client.popups("home")
        assert (caught.value.code, caught.value.retry_seconds) == ("unauthorized", 1.0)
        assert asked == [False, True]
        ani.clock.seconds += 1.0
        ani.client.shown(popup(token("ani", campaign_id=1)))
        assert await ani.client.flush() == 1.0
        assert len(ani.outbox) == 1
        ani.clock.seconds += 1.0
        await ani.send()
        assert asked == [False, True] * 3
        assert len((await ani.client.popups("home")).popups) == 1
    assert await counted(service.database, "ani") == (1, 0, 0)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_is_hours_off_tells_right_times(
    service: Service, tmp_path: Path, hours: int
) -> None:
    """Served 40 minutes ago, shown 20 minutes ago, sent now."""
    campaign = await service.create("sale")
    passed = [0.0]
    clock = ServerTime(
        wall=lambda: time.time() + hours * 3600, monotonic=lambda: time.monotonic() + passed[0]
    )
    async with phone(url(service), "ani", tmp_path / "events", time=clock) as ani:
        shown = (await ani.client.popups("home")).popups[0]
        assert ani.client.may_show(shown)
        passed[0] = 601.0
        assert not ani.client.may_show(shown)
        passed[0] = -1200.0
        ani.client.shown(popup(token("ani", campaign_id=campaign, served_seconds_ago=2400)))
        await ani.send()
    assert await minutes_since_shown(service.database) == pytest.approx(20, abs=1)


@pytest.mark.parametrize(("hours", "minutes_ago"), [(-5, 30), (5, 0)])
async def test_before_any_answer_the_service_clamps_what_a_wrong_clock_says(
    service: Service, tmp_path: Path, hours: int, minutes_ago: int
) -> None:
    campaign = await service.create("sale")
    clock = ServerTime(wall=lambda: time.time() + hours * 3600)
    async with phone(url(service), "ani", tmp_path / "events", time=clock) as ani:
        ani.client.shown(popup(token("ani", campaign_id=campaign, served_seconds_ago=1800)))
        await ani.send()
    assert await minutes_since_shown(service.database) == pytest.approx(minutes_ago, abs=1)


async def test_events_of_another_user_wait_for_him(service: Service, tmp_path: Path) -> None:
    await service.create("sale")
    file = tmp_path / "events"
    async with phone(url(service), "ani", file) as ani:
        ani.client.shown((await ani.client.popups("home")).popups[0])
    async with phone(url(service), "budi", file) as budi:
        budi.client.shown((await budi.client.popups("home")).popups[0])
        assert await budi.client.flush() == 0.0
        assert len(budi.outbox) == 1
    async with phone(url(service), "ani", file) as ani:
        await ani.send()
    assert (await counted(service.database, "ani"), await counted(service.database, "budi")) == (
        (1, 0, 0),
        (1, 0, 0),
    )


async def test_the_queue_is_bounded_and_what_goes_is_told_of(service: Service, tmp_path: Path) -> None:
    campaign = await service.create("sale")
    texts = [token("ani", campaign_id=campaign) for _ in range(8)]
    async with phone(url(service), "ani", tmp_path / "events", max_events=5) as ani:
        for text in texts:
            ani.client.shown(popup(text))
        assert len(ani.outbox) == 5
        assert [event.token for event, _ in ani.dropped] == texts[:3]
        assert {code for _, code in ani.drops} == {"outbox_full"}
        await ani.send()
    assert await counted(service.database, "ani") == (5, 0, 0)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>Sign in</html>"), (202, "{}"), (400, "{}"), (403, "<html>"), (410, "[]"), (502, "")],
)
async def test_what_is_not_the_services_own_answer_drops_nothing(
    tmp_path: Path, status: int, body: str
) -> None:
    async with (
        something_in_between(status, body) as portal,
        phone(portal, "ani", tmp_path / "events") as ani,
    ):
        ani.client.shown(popup("a token"))
        assert await ani.client.flush() == 1.0
        with pytest.raises(TayangError, match="no_answer"):
            await ani.client.popups("home")
        assert (len(ani.outbox), ani.dropped) == (1, [])
