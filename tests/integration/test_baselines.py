"""What Tayang is measured against works: its caps hold, one request after another, and JWTs are verified."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any

import asyncpg
import psycopg
import pytest

from loadtests.baselines import old_design_data, redis_data
from loadtests.baselines.process import Baseline, baseline
from loadtests.baselines.redis_server import REMEDY, available, redis_server
from loadtests.service import BenchError
from tests.support.database import Database
from tests.support.service import USER_SECRET, bearer
from tests.support.waiting import until

CAMPAIGN = """
    INSERT INTO campaigns (id, key, name, status, priority, placement, timezone, schedule, audience,
                           caps, variants)
    VALUES ($1, $2, $2, 'live', $1, 'home', 'UTC', '[]', $3, $4,
            '[{"key": "a", "content": {"title": "Hello"}}]')
"""
COUNTED = """
    INSERT INTO user_campaign_counts (user_id, campaign_id, total, clicks, dismissals, conversions, recent)
    VALUES ('ani', $1, cardinality($2::timestamptz[]), 0, 0, 0, $2)
"""


@pytest.fixture
async def data(database: Database) -> Database:
    """Ani has seen `daily` once an hour ago and once two days ago, `rare` as often as ever allowed."""
    primary: asyncpg.Connection = await database.primary()
    await primary.execute(CAMPAIGN, 1, "daily", "everyone", '[{"limit": 2, "window": "24h"}]')
    await primary.execute(CAMPAIGN, 2, "rare", "everyone", '[{"limit": 1, "window": "lifetime"}]')
    await primary.execute(CAMPAIGN, 3, "vip", "listed", "[]")
    for number in range(4, 9):
        await primary.execute(CAMPAIGN, number, f"more-{number}", "everyone", "[]")
    now = datetime.now(UTC)
    await primary.execute(COUNTED, 1, [now - timedelta(hours=1), now - timedelta(days=2)])
    await primary.execute(COUNTED, 2, [now - timedelta(days=200)])
    await primary.execute("INSERT INTO audience_members (user_id, campaign_id) VALUES ('budi', 3)")
    return database


@pytest.fixture(params=["old_design", "redis_counters"])
async def server(request: pytest.FixtureRequest, data: Database) -> AsyncIterator[Baseline]:
    environment = {"BASELINE_JWT_SECRET": USER_SECRET}
    with psycopg.connect(data.primary_dsn, autocommit=True) as primary:
        if request.param == "old_design":
            old_design_data.create(primary)
            await data.caught_up()
            environment |= {
                "BASELINE_PRIMARY_DSN": data.primary_dsn,
                "BASELINE_REPLICA_DSN": data.replica_dsn,
            }
            with baseline("old_design", environment) as started:
                yield started
            return
        if not available():
            pytest.skip(REMEDY)
        with redis_server() as redis:
            redis_data.fill(primary, redis.url)
            with baseline("redis_counters", environment | {"BASELINE_REDIS_URL": redis.url}) as started:
                yield started


@pytest.fixture
def http(server: Baseline) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(*server.address, timeout=20)
    yield connection
    connection.close()


def shown_to(http: HTTPConnection, user: str) -> dict[str, str]:
    """Tokens by campaign."""
    http.request("GET", "/v1/popups?placement=home&platform=android", headers=bearer(user))
    answer = http.getresponse()
    popups: list[dict[str, Any]] = json.loads(answer.read())["popups"]
    assert answer.status == 200
    assert all(popup["content"] == {"title": "Hello"} for popup in popups)
    return {popup["campaign"]: popup["token"] for popup in popups}


def confirm(http: HTTPConnection, user: str, token: str) -> None:
    http.request("POST", "/v1/impressions", json.dumps({"token": token}), headers=bearer(user))
    answer = http.getresponse()
    assert (answer.status, json.loads(answer.read())) == (202, {"accepted": 1, "rejected": []})


def refused(http: HTTPConnection, method: str, path: str) -> None:
    http.request(method, path, headers={"Authorization": "Bearer a.b.c"})
    answer = http.getresponse()
    answer.read()
    assert answer.status == 401


async def test_caps_hold_lists_count_and_jwts_are_verified(http: HTTPConnection) -> None:
    ani = shown_to(http, "ani")
    assert list(ani) == ["daily", "more-4", "more-5", "more-6", "more-7"]
    budi = shown_to(http, "budi")
    assert list(budi) == ["daily", "rare", "vip", "more-4", "more-5"]

    confirm(http, "ani", ani["daily"])  # the second one within 24 hours
    confirm(http, "budi", budi["rare"])

    await until(lambda: "daily" not in shown_to(http, "ani"), "Ani's cap is reached")
    await until(lambda: "rare" not in shown_to(http, "budi"), "Budi's cap is reached")
    assert "daily" in shown_to(http, "budi")

    refused(http, "GET", "/v1/popups?placement=home")
    refused(http, "POST", "/v1/impressions")


def test_no_redis_in_path_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(BenchError, match="apt-get install redis-server"), redis_server():
        pass
