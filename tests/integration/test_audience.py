"""Audience uploads over HTTP and from the command line: streamed, all or nothing, memory flat."""

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest

from api.admin.audience_load import COPY_BYTES, SLICE_ROWS, load_audience
from api.admin.store import load_sql
from tayang.import_audience import import_audience
from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    ADMIN_KEY,
    CAMPAIGNS,
    Client,
    Database,
    admin_client_fixture,
    connection_fixture,
    created,
    problem,
    serve_admin,
)

AUDIENCE = f"{CAMPAIGNS}/sale/audience"
CSV = {"Content-Type": "text/csv"}


async def upload(client: Client, body: Any, mode: str = "replace", path: str = AUDIENCE) -> dict[str, Any]:
    async with client.put(path, params={"mode": mode}, data=body, headers=CSV) as response:
        document: dict[str, Any] = await response.json()
        assert response.status == 200, document
        return document


async def members(connection: asyncpg.Connection, campaign_id: int) -> list[str]:
    rows = await connection.fetch(
        "SELECT user_id FROM audience_members WHERE campaign_id = $1 ORDER BY user_id", campaign_id
    )
    return [row["user_id"] for row in rows]


async def test_replace_add_and_remove(admin_client: Client, connection: asyncpg.Connection) -> None:
    sale, other = await created(admin_client), await created(admin_client, key="other")
    await upload(admin_client, b"a\nz\n", path=f"{CAMPAIGNS}/{other['id']}/audience")
    catalog = await connection.fetchval("SELECT version FROM catalog_version")
    steps = [
        ("replace", b"user_id\r\nb\r\na\r\n\r\na\r\n", (3, 2, 2, 0, 1), ["a", "b"]),
        ("replace", b"c\nb", (2, 2, 1, 1, 0), ["b", "c"]),
        ("add", b"b\nd\n", (2, 3, 1, 0, 0), ["b", "c", "d"]),
        ("remove", b"a\nb\nb\n", (3, 2, 0, 1, 1), ["c", "d"]),
        ("add", b"", (0, 2, 0, 0, 0), ["c", "d"]),
        ("replace", b"user_id\n", (0, 0, 0, 2, 0), []),
    ]
    for mode, body, (lines, total, added, removed, duplicates), left in steps:
        assert await upload(admin_client, body, mode) == {
            "campaign": "sale",
            "mode": mode,
            "lines": lines,
            "members": total,
            "added": added,
            "removed": removed,
            "duplicates": duplicates,
        }
        assert await members(connection, sale["id"]) == left
        async with admin_client.get(AUDIENCE) as response:
            assert await response.json() == {"members": total}
    assert await members(connection, other["id"]) == ["a", "z"]
    assert await connection.fetchval("SELECT version FROM catalog_version") == catalog


async def test_every_kind_of_user_id_arrives_as_it_is(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    sale = await created(admin_client)
    ids = ["\\N", "\\.", "a\\tb", "a,b", 'say "hi"', " x ", "é🎉", "x" * 128, "user_id2"]
    quoted = [f'"{each.replace(chr(34), chr(34) * 2)}"' for each in ids]
    await upload(admin_client, "\ufeffuser_id\r\n".encode() + "\r\n".join(quoted).encode())
    assert sorted(await members(connection, sale["id"])) == sorted(ids)


async def test_members_who_stay_are_not_written(admin_client: Client, connection: asyncpg.Connection) -> None:
    await created(admin_client)
    rows = "SELECT user_id, xmin::text, ctid FROM audience_members WHERE user_id < 'c' ORDER BY user_id"
    await upload(admin_client, b"a\nb\nc\n")
    before = await connection.fetch(rows)
    await upload(admin_client, b"b\na\nd\n")
    await upload(admin_client, b"a\nb\n", "add")
    assert await connection.fetch(rows) == before
    assert len(before) == 2


async def test_bad_lines_are_named_and_nothing_is_applied(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    sale = await created(admin_client)
    await upload(admin_client, b"keep\n")
    lines = [b"user_id"] + [b"good%d" % n for n in range(300_000)]
    for n in range(100_000, 100_030):
        lines[n] = b"x,y"
    for mode in ("replace", "add", "remove"):
        body = BytesIO(b"\n".join(lines))
        async with admin_client.put(AUDIENCE, params={"mode": mode}, data=body, headers=CSV) as response:
            document = await problem(response, 422, "audience_invalid")
        assert document["bad_lines"] == 30
        assert [error["line"] for error in document["errors"]] == list(range(100_001, 100_021))
        assert "column" in document["errors"][0]["detail"]
        assert await members(connection, sale["id"]) == ["keep"]


async def test_an_empty_file_does_not_replace(admin_client: Client) -> None:
    await created(admin_client)
    await upload(admin_client, b"keep\n")
    for body in (b"", b"\n\n"):
        async with admin_client.put(AUDIENCE, data=body, headers=CSV) as response:
            assert "header line user_id" in (await problem(response, 422, "audience_invalid"))["detail"]
    async with admin_client.get(AUDIENCE) as response:
        assert await response.json() == {"members": 1}


async def test_wrong_requests(admin_client: Client) -> None:
    await created(admin_client)
    cases: list[tuple[str, dict[str, str], int, str]] = [
        ("?mode=merge", CSV, 400, "bad_parameter"),
        ("?mdoe=add", CSV, 400, "bad_parameter"),
        ("?mode=add&mode=remove", CSV, 400, "bad_parameter"),
        ("", {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
        ("", {**CSV, "Content-Encoding": "gzip"}, 400, "bad_request"),
    ]
    for query, headers, status, code in cases:
        async with admin_client.put(AUDIENCE + query, data=b"a\n", headers=headers) as response:
            await problem(response, status, code)
    async with admin_client.put(f"{CAMPAIGNS}/none/audience", data=b"a\n", headers=CSV) as response:
        await problem(response, 404, "not_found")
    async with admin_client.get(f"{CAMPAIGNS}/none/audience") as response:
        await problem(response, 404, "not_found")
    async with admin_client.get(AUDIENCE) as response:
        assert await response.json() == {"members": 0}


async def test_the_limit_of_bytes_counts_what_is_unpacked(database: Database) -> None:
    async with serve_admin(database.primary_dsn, audience_max_bytes=100_000) as client:
        await created(client)
        large = b"user-of-the-app\n" * 10_000
        packed = {**CSV, "Content-Encoding": "gzip"}
        for body, headers in ((large, CSV), (gzip.compress(large), packed)):
            async with client.put(AUDIENCE, data=body, headers=headers) as response:
                assert (await problem(response, 413, "too_large"))["max_bytes"] == 100_000
        async with client.put(AUDIENCE, data=gzip.compress(b"a\nb\n"), headers=packed) as response:
            assert (await response.json())["members"] == 2


async def test_one_session_serves_upload_after_upload(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The temporary table goes with its upload, also after a refused one and when plans are cached."""
    async with serve_admin(database.primary_dsn, pool_max_connections=1) as client:
        await created(client)
        for n in range(7):
            result = await upload(client, b"".join(b"u%d\n" % each for each in range(n, n + 50)))
            assert (result["members"], result["added"]) == (50, 50 if n == 0 else 1)
        async with client.put(AUDIENCE, data=b"a,b\n", headers=CSV) as response:
            await problem(response, 422, "audience_invalid")
        assert (await upload(client, b"a\n"))["members"] == 1
        temporary = "SELECT count(*) FROM pg_class WHERE relname = 'audience_upload'"
        async with asyncio.timeout(10):
            while await connection.fetchval(temporary):  # the refused one's session ends by itself
                pass


class StalledUpload:
    """A client that sends the head and one piece, and then nothing."""

    def __init__(self, client: Client) -> None:
        self._server = client.server

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._server.host, self._server.port)
        self.writer.write(
            f"PUT {AUDIENCE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
            "Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\n".encode()
            + b"half\n" * 1000
        )
        await self.writer.drain()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def _wait_for_uploads(connection: asyncpg.Connection, count: int) -> None:
    """Until so many sessions of this database hold a staging table."""
    async with asyncio.timeout(10):
        while count != await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relname = 'audience_upload'"
        ):
            pass


async def test_a_client_that_goes_away_changes_nothing(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    sale = await created(admin_client)
    await upload(admin_client, b"keep\n")
    for _ in range(3):  # more often than there are places for uploads
        async with StalledUpload(admin_client):
            await _wait_for_uploads(connection, 1)
        await _wait_for_uploads(connection, 0)
    assert await members(connection, sale["id"]) == ["keep"]
    assert (await upload(admin_client, b"b\n"))["members"] == 1


async def test_an_idle_upload_holds_no_transaction(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    """It would keep vacuum from every table for as long as a slow client sends."""
    await created(admin_client)
    async with StalledUpload(admin_client):
        await _wait_for_uploads(connection, 1)
        open_transactions = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)"
        )
        async with asyncio.timeout(10):
            while await connection.fetchval(open_transactions):
                pass


async def test_too_many_uploads_are_refused_at_once(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    await created(admin_client)
    async with StalledUpload(admin_client), StalledUpload(admin_client):
        await _wait_for_uploads(connection, 2)
        async with admin_client.put(AUDIENCE, data=b"a\n", headers=CSV) as response:
            await problem(response, 503, "uploads_busy")
            assert int(response.headers["Retry-After"]) > 0
        async with admin_client.get(AUDIENCE) as response:
            assert response.status == 200
    await _wait_for_uploads(connection, 0)
    assert (await upload(admin_client, b"a\n"))["members"] == 1


async def test_an_upload_that_takes_too_long_is_ended(database: Database) -> None:
    async with serve_admin(database.primary_dsn, audience_max_seconds=0.5) as client:
        await created(client)
        async with StalledUpload(client) as stalled, asyncio.timeout(10):
            assert b" 408 " in await stalled.reader.readline()
        assert (await upload(client, b"a\n"))["members"] == 1


async def test_losing_the_database_in_an_upload_is_a_503(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    sale = await created(admin_client)
    await upload(admin_client, b"keep\n")
    kill = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def cut_off() -> AsyncIterator[bytes]:
        yield b"new\n" * COPY_BYTES
        await _wait_for_uploads(connection, 1)
        await connection.fetchval(kill)
        await _wait_for_uploads(connection, 0)
        yield b"newer\n" * COPY_BYTES

    async with admin_client.put(AUDIENCE, data=cut_off(), headers=CSV) as response:
        await problem(response, 503, "unavailable")
    assert await members(connection, sale["id"]) == ["keep"]
    assert (await upload(admin_client, b"b\n"))["members"] == 1


async def test_two_uploads_to_one_campaign_are_applied_one_after_the_other(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    sale = await created(admin_client)
    await created(admin_client, key="other")
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with connection.transaction():
        await connection.execute(load_sql("audience_lock"), sale["id"])
        uploads = [asyncio.create_task(upload(admin_client, body)) for body in (b"a\nb\n", b"c\nd\n")]
        async with asyncio.timeout(10):
            while await connection.fetchval(waiting) < 2:
                assert not any(task.done() for task in uploads)
        assert await members(connection, sale["id"]) == []
    results = await asyncio.gather(*uploads)
    # With the second one blind to the first, all four would be members.
    assert sorted(result["removed"] for result in results) == [0, 2]
    assert await members(connection, sale["id"]) in (["a", "b"], ["c", "d"])


async def test_memory_is_flat(database: Database, connection: asyncpg.Connection) -> None:
    async def generated() -> AsyncIterator[bytes]:
        for n in range(0, 300_000, 1000):
            yield b"".join(b"user-%012d\n" % each for each in range(n, n + 1000))

    async with serve_admin(database.primary_dsn) as client:
        sale = await created(client)
    tracemalloc.start()
    try:
        result = await load_audience(
            connection, (sale["id"], "sale"), "replace", generated(), copy_seconds=30, apply_seconds=60
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.members == 300_000  # 5 MB of file
    assert peak < 4 * COPY_BYTES


async def test_it_is_written_at_the_pace_that_is_asked_for(
    database: Database, connection: asyncpg.Connection
) -> None:
    async def three_slices() -> AsyncIterator[bytes]:
        yield b"".join(b"user-%d\n" % number for number in range(2 * SLICE_ROWS + 1))

    async with serve_admin(database.primary_dsn) as client:
        sale = await created(client)
    began, pace = (
        time.monotonic(),
        {"copy_seconds": 30, "apply_seconds": 60, "rows_per_second": 5 * SLICE_ROWS},
    )
    await load_audience(connection, (sale["id"], "sale"), "replace", three_slices(), **pace)
    assert time.monotonic() - began > 0.4, "the third slice is due two fifths of a second after the first"


async def test_import_from_the_command_line(
    database: Database, admin_client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await created(admin_client)
    file = tmp_path / "users.csv"
    file.write_bytes(b"user_id\nu1\nu2\nu2\n")
    assert (
        await import_audience(database.primary_dsn, file, "sale", "replace", rows_per_second=0, as_json=True)
        == 0
    )
    assert json.loads(capsys.readouterr().out) == {
        "campaign": "sale",
        "mode": "replace",
        "lines": 3,
        "members": 2,
        "added": 2,
        "removed": 0,
        "duplicates": 1,
    }
    assert (
        await import_audience(database.primary_dsn, file, "sale", "remove", rows_per_second=0, as_json=False)
        == 0
    )
    captured = capsys.readouterr()
    assert captured.out == "sale: 3 lines (1 duplicates), 0 added, 2 removed, 0 members now\n"
    assert "users.csv" in captured.err


async def test_import_says_what_is_wrong(
    database: Database, admin_client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await created(admin_client)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(b"u1\n")
    bad.write_bytes(b"u1\n" + b"a,b\n" * 30)
    nowhere = "postgresql://tayang:secret-word@127.0.0.1:1/none"
    cases = [
        (database.primary_dsn, bad, "sale", 2, "line 2 has more than one column"),
        (database.primary_dsn, bad, "sale", 2, "first 20 of 30"),
        (database.primary_dsn, tmp_path / "none.csv", "sale", 2, "No such file"),
        (database.primary_dsn, tmp_path, "sale", 2, "directory"),
        (database.primary_dsn, good, "nobody", 2, "'nobody'"),
        (nowhere, good, "sale", 1, "the primary database failed"),
    ]
    for dsn, file, key, exit_code, said in cases:
        assert await import_audience(dsn, file, key, "replace", rows_per_second=0, as_json=False) == exit_code
        captured = capsys.readouterr()
        assert said in captured.err
        assert "secret-word" not in captured.err
        assert captured.out == ""
    assert (
        await import_audience(database.primary_dsn, bad, "sale", "replace", rows_per_second=0, as_json=True)
        == 2
    )
    document = json.loads(capsys.readouterr().out)
    assert (document["code"], document["bad_lines"], document["errors"][0]["line"]) == (
        "audience_invalid",
        30,
        2,
    )
