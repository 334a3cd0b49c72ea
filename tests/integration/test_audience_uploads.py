"""Resumable audience uploads: parts that any process takes, applied whole or not at all."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest
from aiohttp import ClientSession

from api.admin.audience_lines import AudienceLines
from api.admin.audience_load import COPY_BYTES
from api.admin.store import load_sql
from maintenance.loop import forget_uploads
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
from tests.support.service import Service
from tests.support.waiting import until

UPLOADS: Final = f"{CAMPAIGNS}/sale/audience/uploads"
PART: Final = {"Content-Type": "application/partial-upload"}
CSV: Final = {"Content-Type": "text/csv"}
MEMBERS: Final = "SELECT array_agg(user_id ORDER BY user_id) FROM audience_members WHERE campaign_id = $1"
IDS: Final = ["\\N", "\\.", "a\\tb", "a,b", 'say "hi"', " x ", "é🎉", "x" * 128, "user_id2"]


async def opened(client: Client | ClientSession, mode: str = "replace", **headers: str) -> str:
    """The path of a new upload."""
    async with client.post(UPLOADS, params={"mode": mode}, headers=headers) as response:
        assert response.status == 201, await response.text()
        assert response.headers["Upload-Offset"] == "0"
        return response.headers["Location"]


async def part(client: Client | ClientSession, path: str, offset: int, data: Any) -> dict[str, Any]:
    headers = {**PART, "Upload-Offset": str(offset)}
    async with client.patch(path, data=data, headers=headers) as response:
        document: dict[str, Any] = await response.json(content_type=None)
        assert response.status == 200, document
        assert response.headers["Upload-Offset"] == str(document["offset"])
        return document


async def status(client: Client | ClientSession, path: str) -> dict[str, Any]:
    async with client.get(path) as response:
        assert response.status == 200
        document: dict[str, Any] = await response.json()
        return document


async def completed(client: Client | ClientSession, path: str) -> dict[str, Any]:
    async with client.post(f"{path}/complete") as response:
        document: dict[str, Any] = await response.json()
        assert response.status == 200, document
        return document


def quoted(ids: list[str]) -> bytes:
    return "".join(f'"{each.replace(chr(34), chr(34) * 2)}"\r\n' for each in ids).encode()


async def test_a_file_in_parts_is_the_file(admin_client: Client, connection: asyncpg.Connection) -> None:
    """Cut at every byte, so also within characters, quotes and line ends; each part by another process."""
    sale = await created(admin_client)
    file = "\ufeffuser_id\r\n".encode() + quoted(IDS) + b"twice\n\ntwice\nlast"
    path = await opened(admin_client, **{"Upload-Length": str(len(file))})
    for offset in range(len(file)):
        told = await part(admin_client, path, offset, file[offset : offset + 1])
    assert told | {"id": "", "created_at": "", "expires_at": ""} == {
        "id": "",
        "campaign": "sale",
        "mode": "replace",
        "state": "open",
        "offset": len(file),
        "length": len(file),
        "crc32": f"{zlib.crc32(file):08x}",
        "lines": len(IDS) + 2,
        "bad_lines": 0,
        "errors": [],
        "created_at": "",
        "expires_at": "",
        "result": None,
    }
    assert await connection.fetchval(MEMBERS, sale["id"]) is None
    result = await completed(admin_client, path)
    assert result == {
        "campaign": "sale",
        "mode": "replace",
        "lines": len(IDS) + 3,
        "members": len(IDS) + 2,
        "added": len(IDS) + 2,
        "removed": 0,
        "duplicates": 1,
    }
    assert sorted(await connection.fetchval(MEMBERS, sale["id"])) == sorted([*IDS, "twice", "last"])
    assert await connection.fetchval("SELECT count(*) FROM audience_upload_parts") == 0


async def test_every_mode_and_its_audit_entry(admin_client: Client, connection: asyncpg.Connection) -> None:
    sale = await created(admin_client)
    steps = [
        ("replace", b"a\nb\n", ["a", "b"]),
        ("add", b"c\n", ["a", "b", "c"]),
        ("remove", b"a", ["b", "c"]),
    ]
    for mode, file, left in steps:
        path = await opened(admin_client, mode)
        await part(admin_client, path, 0, file)
        await completed(admin_client, path)
        assert await connection.fetchval(MEMBERS, sale["id"]) == left
    entries = await connection.fetch(
        "SELECT action, actor FROM audit_log WHERE kind = 'audience' ORDER BY id"
    )
    assert [tuple(entry) for entry in entries] == [(mode, "bootstrap") for mode, _, _ in steps]


async def test_a_completion_sent_again_gets_the_same_answer(admin_client: Client) -> None:
    await created(admin_client)
    path = await opened(admin_client)
    await part(admin_client, path, 0, b"a\n")
    first = await completed(admin_client, path)
    async with admin_client.put(f"{CAMPAIGNS}/sale/audience", data=b"b\n", headers=CSV) as response:
        assert response.status == 200
    assert await completed(admin_client, path) == first
    told = await status(admin_client, path)
    assert (told["state"], told["result"]) == ("applied", first)
    async with admin_client.head(path) as response:
        assert (response.headers["Upload-Offset"], response.headers["Upload-Complete"]) == ("2", "?1")
    async with admin_client.patch(path, data=b"c\n", headers={**PART, "Upload-Offset": "2"}) as response:
        await problem(response, 409, "completed_upload")


async def test_two_completions_at_once_apply_once(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    sale = await created(admin_client)
    path = await opened(admin_client, "add")
    await part(admin_client, path, 0, b"a\nb\n")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with connection.transaction():
        await connection.execute(load_sql("audience_lock"), sale["id"])
        tasks = [asyncio.create_task(completed(admin_client, path)) for _ in range(2)]
        await until(lambda: _is(connection, waiting, 2), "both wait")
    first, second = await asyncio.gather(*tasks)
    assert first == second
    assert first["added"] == 2
    entries = "SELECT count(*) FROM audit_log WHERE kind = 'audience'"
    assert await connection.fetchval(entries) == 1


async def test_a_wrong_offset_is_told_the_right_one(admin_client: Client) -> None:
    await created(admin_client)
    path = await opened(admin_client)
    await part(admin_client, path, 0, b"a\nb\n")
    for offset in ("0", "3", "5", "999999999999"):
        async with admin_client.patch(
            path, data=b"c\n", headers={**PART, "Upload-Offset": offset}
        ) as response:
            document = await problem(response, 409, "mismatching_upload_offset")
            assert (document["expected_offset"], document["provided_offset"]) == (4, int(offset))
            assert response.headers["Upload-Offset"] == "4"
    assert (await status(admin_client, path))["offset"] == 4


async def test_two_parts_at_once_are_not_mixed(admin_client: Client, connection: asyncpg.Connection) -> None:
    """Both begin at the same offset: the one that is kept first wins, the other is told where to go on."""
    sale = await created(admin_client)
    path = await opened(admin_client)
    gate, reading = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"slow-1\n"
        reading.set()
        await gate.wait()
        yield b"slow-2\n"

    headers = {**PART, "Upload-Offset": "0"}
    late = asyncio.create_task(admin_client.patch(path, data=slow(), headers=headers).__aenter__())
    await reading.wait()
    await part(admin_client, path, 0, b"quick\n")
    gate.set()
    async with await late as response:
        assert (await problem(response, 409, "mismatching_upload_offset"))["expected_offset"] == 6
    await completed(admin_client, path)
    assert await connection.fetchval(MEMBERS, sale["id"]) == ["quick"]


async def test_what_came_before_the_connection_broke_is_kept(
    service: Service, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the service's own server, which lets a handler end when its client is gone."""
    was_read, feed = asyncio.Event(), AudienceLines.feed

    def signalling(lines: AudienceLines, chunk: bytes) -> bytes:
        was_read.set()  # what has come and was not read goes with its connection
        return feed(lines, chunk)

    monkeypatch.setattr(AudienceLines, "feed", signalling)
    sale = await service.create("sale")
    service.client.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
    path = await opened(service.client)
    _, writer = await asyncio.open_connection(*service.address)
    writer.write(
        f"PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/partial-upload\r\nContent-Length: 1000\r\n\r\nfirst\nsec".encode()
    )
    async with asyncio.timeout(10):
        await was_read.wait()
    writer.close()
    await writer.wait_closed()

    async def kept() -> bool:
        return bool((await status(service.client, path))["offset"] == 9)

    await until(kept, "what came is kept")
    await part(service.client, path, 9, b"ond\n")
    await completed(service.client, path)
    assert await connection.fetchval(MEMBERS, sale) == ["first", "second"]


async def test_a_part_is_kept_in_pieces_while_it_comes(admin_client: Client) -> None:
    """A process that dies loses at most the last piece of a part; nothing waits for the end of it."""
    await created(admin_client)
    path = await opened(admin_client)
    gate = asyncio.Event()

    async def coming() -> AsyncIterator[bytes]:
        yield b"user-of-app\n" * (COPY_BYTES // 12 + 1)
        await gate.wait()

    headers = {**PART, "Upload-Offset": "0"}
    sending = asyncio.create_task(admin_client.patch(path, data=coming(), headers=headers).__aenter__())

    async def kept() -> bool:
        return bool((await status(admin_client, path))["offset"] >= COPY_BYTES)

    await until(kept, "the first piece is kept")
    gate.set()
    async with await sending as response:
        assert response.status == 200


async def test_bad_lines_are_told_with_their_numbers_and_nothing_is_applied(admin_client: Client) -> None:
    await created(admin_client)
    async with admin_client.put(f"{CAMPAIGNS}/sale/audience", data=b"keep\n", headers=CSV) as response:
        assert response.status == 200
    path = await opened(admin_client)
    await part(admin_client, path, 0, b"good\nx,")
    told = await part(admin_client, path, 7, b"y\nfine\na,b")
    assert (told["bad_lines"], [error["line"] for error in told["errors"]]) == (1, [2])
    async with admin_client.post(f"{path}/complete") as response:
        document = await problem(response, 422, "audience_invalid")
    assert (document["bad_lines"], [error["line"] for error in document["errors"]]) == (2, [2, 4])
    assert "column" in document["errors"][0]["detail"]
    async with admin_client.get(f"{CAMPAIGNS}/sale/audience") as response:
        assert await response.json() == {"members": 1}
    assert (await status(admin_client, path))["state"] == "open"


async def test_an_empty_upload_does_not_replace(admin_client: Client) -> None:
    await created(admin_client)
    path = await opened(admin_client)
    async with admin_client.post(f"{path}/complete") as response:
        await problem(response, 422, "audience_invalid")


async def test_completing_another_version_or_an_unfinished_file_is_refused(admin_client: Client) -> None:
    sale = await created(admin_client)
    path = await opened(admin_client, **{"Upload-Length": "4"})
    await part(admin_client, path, 0, b"a\n")
    async with admin_client.post(f"{path}/complete") as response:
        document = await problem(response, 409, "inconsistent_upload_length")
        assert (document["received_bytes"], document["file_bytes"]) == (2, 4)
    await part(admin_client, path, 2, b"b\n")
    old = {"If-Match": f'"{sale["version"]}"'}
    async with admin_client.patch(f"{CAMPAIGNS}/sale", json={"name": "New"}, headers=old) as response:
        assert response.status == 200
        new = {"If-Match": response.headers["ETag"]}
    async with admin_client.post(f"{path}/complete", headers=old) as response:
        assert (await problem(response, 412, "version_conflict"))["current_version"] == 2
    async with admin_client.post(f"{path}/complete", headers=new) as response:
        assert (await response.json())["members"] == 2


async def test_limits(database: Database) -> None:
    limits: dict[str, Any] = {"audience_max_bytes": 20, "audience_open_max_uploads": 2}
    async with serve_admin(database.primary_dsn, **limits) as client:
        await created(client)
        async with client.post(UPLOADS, headers={"Upload-Length": "21"}) as response:
            assert (await problem(response, 413, "too_large"))["max_bytes"] == 20
        free, told = await opened(client), await opened(client, **{"Upload-Length": "4"})
        async with client.post(UPLOADS) as response:
            assert "2 audience uploads are open" in (await problem(response, 409, "limit_reached"))["detail"]
        async with client.get(UPLOADS) as response:
            paths = [f"{UPLOADS}/{upload['id']}" for upload in (await response.json())["uploads"]]
            assert paths == [free, told]
        await part(client, free, 0, b"a" * 8 + b"\n")
        await part(client, told, 0, b"a\n")
        for path, offset, limit in ((free, 9, 11), (told, 2, 2)):
            headers = {**PART, "Upload-Offset": str(offset)}
            async with client.patch(path, data=b"b" * (limit + 1), headers=headers) as response:
                assert (await problem(response, 413, "too_large"))["max_bytes"] == limit
        async with client.delete(free) as response:
            assert response.status == 204
        for method in ("GET", "DELETE"):
            async with client.request(method, free) as response:
                await problem(response, 404, "not_found")
        assert await opened(client)


async def test_an_upload_expires_and_is_cleared_away(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    await created(admin_client)
    gone, other = await opened(admin_client), await opened(admin_client)
    for path in (gone, other):
        await part(admin_client, path, 0, b"a\n")
    assert await forget_uploads(connection) == 0
    expire = "UPDATE audience_uploads SET expires_at = now() WHERE id = $1"
    await connection.execute(expire, gone.rpartition("/")[2])
    headers = {**PART, "Upload-Offset": "2"}
    for method, path in (("GET", gone), ("PATCH", gone), ("POST", f"{gone}/complete")):
        async with admin_client.request(method, path, headers=headers, data=b"b\n") as response:
            await problem(response, 404, "not_found")
    async with admin_client.get(UPLOADS) as response:
        assert [f"{UPLOADS}/{each['id']}" for each in (await response.json())["uploads"]] == [other]
    assert await forget_uploads(connection) == 1
    assert await connection.fetchval("SELECT count(*) FROM audience_upload_parts") == 1
    assert (await part(admin_client, other, 2, b"b\n"))["expires_at"] > (await status(admin_client, other))[
        "created_at"
    ]


@pytest.mark.parametrize(
    ("headers", "code", "refused"),
    [
        ({**PART}, 400, "bad_request"),
        ({**PART, "Upload-Offset": "-1"}, 400, "bad_request"),
        ({**PART, "Upload-Offset": "1e3"}, 400, "bad_request"),
        ({**PART, "Upload-Offset": "9" * 30}, 400, "bad_request"),
        ({"Content-Type": "application/json", "Upload-Offset": "0"}, 415, "unsupported_media_type"),
        ({**PART, "Upload-Offset": "0", "Content-Encoding": "gzip"}, 415, "unsupported_encoding"),
    ],
    ids=["none", "negative", "float", "huge", "json", "gzip"],
)
async def test_wrong_parts(admin_client: Client, headers: dict[str, str], code: int, refused: str) -> None:
    await created(admin_client)
    path = await opened(admin_client)
    async with admin_client.patch(path, data=b"a\n", headers=headers) as response:
        await problem(response, code, refused)


async def test_what_is_not_there(admin_client: Client) -> None:
    await created(admin_client)
    await created(admin_client, key="other")
    path = await opened(admin_client)
    foreign = path.replace("sale", "other")
    for wrong in (foreign, f"{UPLOADS}/nothing", f"{CAMPAIGNS}/none/audience/uploads/1"):
        for method, url in (
            ("GET", wrong),
            ("PATCH", wrong),
            ("POST", f"{wrong}/complete"),
            ("DELETE", wrong),
        ):
            headers = {**PART, "Upload-Offset": "0"}
            async with admin_client.request(method, url, headers=headers) as response:
                await problem(response, 404, "not_found")
    async with admin_client.post(UPLOADS, params={"mode": "merge"}) as response:
        await problem(response, 400, "bad_parameter")


async def _is(connection: asyncpg.Connection, query: str, value: int) -> bool:
    await connection.execute("SELECT pg_stat_clear_snapshot()")  # a transaction would see the same for ever
    return bool(await connection.fetchval(query) == value)
