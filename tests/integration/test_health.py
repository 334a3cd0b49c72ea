"""What operators ask: is it alive, is it ready, what has it done; with and without databases."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from api.config import ApiConfig
from api.http.metrics import MetricsBoard
from tests.support.database import Database
from tests.support.service import (
    ADMIN_KEY,
    TOKEN_SECRET,
    USER_SECRET,
    Service,
    ServiceFactory,
    bearer,
)
from tests.support.tokens import token
from tests.support.waiting import until

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def metrics(service: Service) -> Samples:
    async with service.client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, worker: str = "0", **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({"worker": worker, **labels}.items()))


async def readiness(service: Service) -> tuple[int, dict[str, Any]]:
    async with service.client.get("/readyz") as response:
        return response.status, await response.json()


@pytest.fixture
async def alone() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A service whose databases can't be reached."""
    config = ApiConfig(
        primary_dsn=NOWHERE,
        replica_dsn=NOWHERE,
        admin_key=ADMIN_KEY,
        token_secrets=(TOKEN_SECRET,),
        user_jwt_secret=USER_SECRET,
        ack_timeout_seconds=0.1,
        stop_flush_seconds=0.0,
        stop_merge_seconds=0.0,
    )
    async with TestClient(TestServer(create_app(config))) as client:
        yield client


async def test_ready(service: Service) -> None:
    status, document = await readiness(service)
    assert (status, document["status"]) == (200, "ready")
    parts = document["parts"]
    assert all(part["ok"] for part in parts.values())
    assert parts["reads"]["servers"] == ["replica", "primary"]
    assert parts["reads"]["catalog_version"] >= 1
    async with service.client.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_without_databases_it_is_alive_and_not_ready(
    alone: TestClient[web.Request, web.Application],
) -> None:
    async with alone.get("/healthz") as response:
        assert response.status == 200
    async with alone.get("/readyz") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        document = await response.json()
    assert document["status"] == "not_ready"
    assert {name: part["ok"] for name, part in document["parts"].items()} == {
        "reads": False,
        "writes": False,
        "buffer": True,
        "merge": True,
    }
    async with alone.get("/metrics") as response:
        assert response.status == 200
        assert 'tayang_flush_connected{worker="0"} 0.0' in await response.text()


async def test_without_databases_every_answer_is_a_503_that_says_when_to_come_back(
    alone: TestClient[web.Request, web.Application],
) -> None:
    async with alone.get("/v1/popups?placement=home", headers=bearer("ani")) as response:
        assert (response.status, response.content_type) == (503, "application/problem+json")
        assert int(response.headers["Retry-After"]) >= 1
        assert (await response.json(content_type=None))["code"] == "unavailable"
    async with alone.post("/v1/impressions", json={"token": token()}, headers=bearer("ani")) as response:
        assert (response.status, response.content_type) == (503, "application/problem+json")
        assert int(response.headers["Retry-After"]) >= 1
        assert (await response.json(content_type=None))["code"] == "ack_timeout"


async def test_a_nearly_full_buffer_is_not_ready(start_service: ServiceFactory, database: Database) -> None:
    service = await start_service(pending_max_rows=10)
    await service.post("ani", {"impressions": [{"token": token()} for _ in range(7)]})
    assert (await readiness(service))[0] == 200
    await service.post("ani", {"token": token()})
    status, document = await readiness(service)
    assert status == 503
    assert document["parts"]["buffer"] == {"ok": False, "pending_rows": 8, "max_rows": 10}
    await database.merge()
    await until(service.ready, "what is merged makes room, also without requests")


async def test_metrics_tell_what_was_done(service: Service) -> None:
    await service.create("one", caps=[{"limit": 1, "window": "day"}])
    await service.show("ani")
    await service.popups("ani")
    await service.post("ani", {"token": "nonsense"})

    seen = await metrics(service)

    assert seen[key("tayang_events_accepted_total")] == 1
    assert seen[key("tayang_events_refused_total")] == 1
    assert seen[key("tayang_popups_served_total", campaign="one")] == 1
    assert seen[key("tayang_popups_not_shown_total", campaign="one", reason="capped")] == 1
    assert seen[key("tayang_pending_rows")] == 1
    assert seen[key("tayang_flush_rows_total")] == 1
    assert seen[key("tayang_flush_connected")] == 1
    assert seen[key("tayang_read_users_total")] == 2
    assert seen[key("tayang_read_batches_total", server="replica")] >= 2
    assert seen[key("tayang_catalog_version")] == service.delivery.reader.catalog.version
    assert 0 <= seen[key("tayang_merge_age_seconds")] < 3600  # of the template, made at the run's start


async def test_each_worker_reports_its_siblings(
    start_service: ServiceFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start_service(worker=0, runtime_dir=tmp_path)
    second = await start_service(worker=1, runtime_dir=tmp_path)
    await first.post("ani", {"token": token()})
    await second.post("ani", {"impressions": [{"token": token()}, {"token": token()}]})
    name = "tayang_events_accepted_total"

    for service in (first, second):

        async def both(service: Service = service) -> bool:
            seen = await metrics(service)
            return (seen.get(key(name, "0")), seen.get(key(name, "1"))) == (1, 2)

        await until(both, "either worker tells of both")

    await second.close()
    monkeypatch.setattr("api.http.metrics._DEAD_SECONDS", 0.0)
    seen = await metrics(first)
    assert seen[key(name, "0")] == 1
    assert key(name, "1") not in seen, "the figures of a worker that is gone are dropped"


async def test_of_two_workers_with_one_number_the_younger_is_believed(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    old = await start_service(worker=0, runtime_dir=tmp_path)
    await old.post("ani", {"token": token()})
    name = key("tayang_events_accepted_total")
    assert (await metrics(old))[name] == 1
    # Two processes have two files; here both would write the same one.
    new = await start_service(worker=0, runtime_dir=None)
    new.delivery.accepted = 5
    board = MetricsBoard(new.delivery, tmp_path, 0)
    writing = asyncio.create_task(board.run())

    async def told() -> bool:
        return (await metrics(old))[name] == 5

    await until(told, "the old one shows the figures of its successor")
    writing.cancel()
    assert (await metrics(new))[name] == 5


async def test_a_worker_removes_its_file_and_those_of_killed_predecessors(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    left = tmp_path / "worker-0-1.json"
    left.write_text("{}")
    os.utime(left, (0, 0))
    another = tmp_path / "worker-1-1.json"
    another.write_text("{}")
    os.utime(another, (0, 0))
    service = await start_service(worker=0, runtime_dir=tmp_path)
    own = tmp_path / f"worker-0-{os.getpid()}.json"
    await until(own.exists, "it writes")
    assert not left.exists()
    await service.close()
    assert not own.exists()
    assert another.exists(), "that is not its own"


async def test_a_damaged_file_of_a_sibling_does_no_harm(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    service = await start_service(worker=0, runtime_dir=tmp_path)
    for number, content in enumerate((b"", b"{", b"\xff"), start=1):
        (tmp_path / f"worker-{number}.json").write_bytes(content)
    assert (await metrics(service))[key("tayang_flush_connected")] == 1
