"""The capacity model's statements, and its open loop, against a real server."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from aiohttp import web

from loadtests.capacity.paced import open_loop
from loadtests.capacity.readings import _by_part, _row
from loadtests.generator import LoadError, LoadResult, Request
from maintenance.merge import merge_all
from tests.support.buffered import NOON, Event, buffer
from tests.support.database import Database

OK = b"GET /200 HTTP/1.1\r\nHost: test\r\n\r\n"


async def test_rows_merged_are_seen_in_sizes_ticks_and_wal(database: Database) -> None:
    primary = await database.primary()
    with psycopg.connect(database.primary_dsn, autocommit=True) as session:
        before = {**_row(session, "wal"), **_row(session, "ticks"), **_row(session, "sizes")}
        await buffer(primary, [Event(), Event(user_id="budi")], first_seq=1)
        await merge_all(primary, NOON)
        after = {**_row(session, "wal"), **_row(session, "ticks"), **_row(session, "sizes")}

    assert after["bytes"] - before["bytes"] > 100
    assert after["tick"] > before["tick"]
    assert after["log_rows"] - before["log_rows"] == 2
    assert after["count_rows"] - before["count_rows"] == 2
    assert after["log_bytes"] >= before["log_bytes"] > 0
    assert after["count_pages"] > before["count_pages"]


async def test_writes_and_syncs_are_counted(database: Database) -> None:
    with psycopg.connect(database.primary_dsn, autocommit=True) as session:
        counted = _row(session, "writes_18" if session.info.server_version >= 180_000 else "writes_15")

    assert set(counted) == {"wal_syncs", "wal_writes", "wal_images", "page_writes"}
    assert counted["wal_writes"] > 0


async def test_a_replica_s_replay_is_told_apart(database: Database) -> None:
    with psycopg.connect(database.replica_dsn, autocommit=True) as session:
        parts = _by_part(session)

    assert parts["replay"] > 0
    assert "merge" not in parts


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]))

    app = web.Application()
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][:2]
    await runner.cleanup()


async def test_an_open_loop_sends_what_is_due(address: tuple[str, int]) -> None:
    result = await offered(address, itertools.repeat((OK, 0)), rate=500.0)

    assert (result.answers, len(result.latencies), result.statuses) == (100, 100, Counter({200: 100}))


async def test_an_open_loop_is_void_after_an_unexpected_status(address: tuple[str, int]) -> None:
    requests = itertools.chain([(OK, 0)], itertools.repeat((OK.replace(b"200", b"503"), 0)))

    with pytest.raises(LoadError, match="status 503"):
        await offered(address, requests, rate=500.0)


async def test_an_open_loop_with_too_few_requests_is_void(address: tuple[str, int]) -> None:
    with pytest.raises(LoadError, match="too few requests"):
        await offered(address, iter([(OK, 0)]), rate=500.0)


async def offered(address: tuple[str, int], requests: Iterator[Request], *, rate: float) -> LoadResult:
    return await open_loop(
        address, requests, rate=rate, connections=10, expected=frozenset({200}), seconds=0.2
    )
