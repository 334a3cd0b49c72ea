"""Campaign CRUD over HTTP: who may, what is accepted, and that no change is lost."""

import asyncio
import json
import re
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession

from api.admin import admin_routes
from api.admin.store import load_sql
from api.campaigns.model import CampaignIn
from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    ADMIN_KEY,
    CAMPAIGNS,
    Client,
    Database,
    admin_client_fixture,
    campaign,
    connection_fixture,
    created,
    problem,
    serve_admin,
)

FULL = campaign(
    key="ramadan-sale",
    status="live",
    priority=10,
    starts_at="2026-11-01T00:00:00+07:00",
    timezone="Asia/Jakarta",
    schedule=[{"days": ["mon", "tue"], "from": "08:00", "to": "22:00"}],
    audience="listed",
    targeting={
        "all": [
            {"attribute": "platform", "op": "in", "value": ["android"]},
            {"not": {"attribute": "attr.spent", "op": "gte", "value": 3.5}},
            {"attribute": "attr.tier", "op": "exists"},
        ]
    },
    caps=[{"limit": 3, "window": "24h"}, {"limit": 10, "window": "lifetime"}],
    cooldown="30m",
    variants=[{"key": "a", "weight": 50, "content": {"title": "Té 🎉", "n": [1, 2.5, None, True]}}],
)


@pytest.mark.parametrize(
    "header",
    [None, "Bearer ", "Bearer wrong", f"Basic {ADMIN_KEY}", f"Bearer {ADMIN_KEY[:-1]}", "Bearer \u00e9"],
)
async def test_every_route_is_denied_without_the_key(admin_client: Client, header: str | None) -> None:
    routes = admin_routes()
    assert len(routes) >= 8
    headers = {} if header is None else {"Authorization": header}
    async with ClientSession() as stranger:
        for route in routes:
            url = admin_client.make_url(re.sub(r"\{.*?\}", "1", route.path))
            async with stranger.request(route.method, url, headers=headers) as response:
                await problem(response, 401, "unauthorized")
                assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_an_empty_admin_key_lets_nobody_in(database: Database) -> None:
    async with serve_admin(database.primary_dsn, admin_key="") as client:
        for header in ("Bearer ", "Bearer", ""):
            async with client.get(CAMPAIGNS, headers={"Authorization": header}) as response:
                await problem(response, 401, "unauthorized")


async def test_create_then_read_by_id_and_by_key(admin_client: Client) -> None:
    async with admin_client.post(CAMPAIGNS, json=FULL) as response:
        assert response.status == 201, await response.text()
        new = await response.json()
        assert response.headers["ETag"] == '"1"'
        assert response.headers["Location"] == f"{CAMPAIGNS}/{new['id']}"
    assert new["starts_at"] == "2026-10-31T17:00:00Z"
    assert new["ends_at"] is None
    written = {name: value for name, value in FULL.items() if name not in ("starts_at", "targeting")}
    assert {name: new[name] for name in written} == written
    assert new["targeting"]["all"][:2] == FULL["targeting"]["all"][:2]
    for path in (response.headers["Location"], f"{CAMPAIGNS}/ramadan-sale"):
        async with admin_client.get(path) as read:
            assert (read.status, await read.json()) == (200, new)
            assert read.headers["ETag"] == '"1"'


async def test_what_was_read_can_be_sent_back(admin_client: Client) -> None:
    async with admin_client.post(CAMPAIGNS, json=FULL) as response:
        read = await response.json()
    async with admin_client.put(f"{CAMPAIGNS}/ramadan-sale", json={**read, "name": "New"}) as response:
        changed = await response.json()
        assert (response.status, changed["version"], changed["name"]) == (200, 2, "New")
        assert response.headers["ETag"] == '"2"'
    assert changed["updated_at"] > read["updated_at"]
    assert changed["created_at"] == read["created_at"]
    async with admin_client.put(f"{CAMPAIGNS}/ramadan-sale", json={**changed, "id": 99}) as response:
        errors = (await problem(response, 422, "invalid"))["errors"]
    assert [error["field"] for error in errors] == ["id"]


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"key": "Sale!"}, "key", "lower-case"),
        ({"key": "2026"}, "key", "letter"),
        ({"name": ""}, "name", "at least 1"),
        ({"name": "a\0b"}, "name", "NUL"),
        ({"name": "\ud800"}, "name", "surrogate"),
        ({"status": "on"}, "status", "'draft'"),
        ({"priority": -1}, "priority", "at least 0"),
        ({"priority": "1"}, "priority", "without quotes"),
        ({"placement": None}, "placement", "text"),
        ({"starts_at": "2026-11-01T00:00:00"}, "starts_at", "offset"),
        ({"timezone": "Mars/Base"}, "timezone", "IANA"),
        ({"schedule": [{"days": ["mon"], "from": "8", "to": "9:00"}]}, "schedule.0.from", "'00:00'"),
        ({"caps": [{"limit": 65, "window": "day"}]}, "caps.0.limit", "64"),
        ({"caps": [{"limit": 1, "window": "fortnight"}]}, "caps.0.window", "24h"),
        ({"cooldown": "soon"}, "cooldown", "30m"),
        ({"targeting": {"all": [{"attribute": "os", "op": "eq", "value": "x"}]}}, "targeting.all.0", ""),
        ({"variants": []}, "variants", "at least 1"),
        ({"variants": [{"key": "a", "weight": 1}]}, "variants.0.content", "add it"),
        ({"variants": [{"key": "a", "weight": 1, "content": {"a": "\0"}}]}, "variants.0.content", "NUL"),
        ({"color": "red"}, "color", "spelling"),
        ({"version": 3}, "version", "leave it out"),
    ],
)
async def test_a_wrong_field_is_named_with_its_remedy(
    admin_client: Client, fields: dict[str, Any], field: str, said: str
) -> None:
    async with admin_client.post(CAMPAIGNS, json=campaign(**fields)) as response:
        document = await problem(response, 422, "invalid")
    assert document["errors"][0]["field"].startswith(field)
    assert said in document["errors"][0]["detail"]
    assert document["errors"][0]["code"]
    async with admin_client.get(CAMPAIGNS) as response:
        assert (await response.json())["campaigns"] == []


async def test_many_wrong_fields_give_a_bounded_answer(admin_client: Client) -> None:
    unknown = {f"field{n}" + "x" * 500: 1 for n in range(500)}
    async with admin_client.post(CAMPAIGNS, json=campaign(**unknown)) as response:
        document = await problem(response, 422, "invalid")
    assert len(document["errors"]) == 50
    assert "499 more" in document["detail"]
    assert max(len(error["field"]) for error in document["errors"]) <= 200


_DEEP = b'{"key": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "line 1"),
        (b'{"key": "a",}', "line 1, column 13"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (_DEEP, "deep"),
        (b'{"name": "\xff"}', "UTF-8"),
        ('{"name": "x"}'.encode("utf-16"), "UTF-8"),
        (b'{"priority": NaN}', "NaN"),
        (b'{"priority": ' + b"9" * 5000 + b"}", "4300"),
        (b'{"name": "a", "name": "b"}', "twice"),
        (b'{"name": "a\0b"}', "control character"),
    ],
)
async def test_a_body_that_is_no_json_object(admin_client: Client, body: bytes, said: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with admin_client.post(CAMPAIGNS, data=body, headers=headers) as response:
        assert said in (await problem(response, 400, "bad_json"))["detail"]


async def test_body_size_and_media_type_are_limited(database: Database) -> None:
    async with serve_admin(database.primary_dsn, admin_body_max_bytes=1000) as client:
        too_large = json.dumps(campaign(name="x" * 1000)).encode()

        async def in_pieces() -> Any:
            yield too_large

        for data in (too_large, in_pieces()):  # with a Content-Length, and without
            async with client.post(
                CAMPAIGNS, data=data, headers={"Content-Type": "application/json"}
            ) as response:
                assert (await problem(response, 413, "too_large"))["max_bytes"] == 1000
        for method, media_type in (("POST", "text/plain"), ("PUT", "application/merge-patch+json")):
            async with client.request(
                method,
                CAMPAIGNS + ("/sale" if method == "PUT" else ""),
                data=b"{}",
                headers={"Content-Type": media_type},
            ) as response:
                await problem(response, 415, "unsupported_media_type")


async def test_a_key_is_used_once_also_after_archiving(admin_client: Client) -> None:
    first, second = await created(admin_client), await created(admin_client, key="other")
    async with admin_client.delete(f"{CAMPAIGNS}/sale") as response:
        assert response.status == 204
    async with admin_client.post(CAMPAIGNS, json=campaign()) as response:
        detail = (await problem(response, 409, "key_taken"))["detail"]
    assert f"campaign {first['id']} (archived)" in detail
    async with admin_client.put(f"{CAMPAIGNS}/{second['id']}", json=campaign(version=1)) as response:
        await problem(response, 409, "key_taken")


async def test_pages_and_filters(admin_client: Client) -> None:
    for n in range(5):
        await created(
            admin_client,
            key=f"c{n}",
            status="live" if n % 2 else "draft",
            placement="home" if n < 3 else "cart",
        )
    seen, cursor = [], ""
    while True:
        async with admin_client.get(CAMPAIGNS, params={"limit": 2, "cursor": cursor}) as response:
            page = await response.json()
        seen += [each["key"] for each in page["campaigns"]]
        assert len(page["campaigns"]) <= 2
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert seen == ["c0", "c1", "c2", "c3", "c4"]
    async with admin_client.get(CAMPAIGNS, params={"status": "live", "placement": "home"}) as response:
        assert [each["key"] for each in (await response.json())["campaigns"]] == ["c1"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=1_0", "cursor=1", "cursor=%C3%BC",
     "status=on", "limit=1&limit=2", "placement=%00", "limit=" + "1" * 5000],
)  # fmt: skip
async def test_a_wrong_query_parameter_is_named(admin_client: Client, query: str) -> None:
    async with admin_client.get(f"{CAMPAIGNS}?{query}") as response:
        document = await problem(response, 400, "bad_parameter")
    assert document["detail"].startswith(query.partition("=")[0])


@pytest.mark.parametrize("name", ["nobody", "77", "99999999999999999999", "A", "a%00b", "%F0%9F%8E%89"])
async def test_no_such_campaign(admin_client: Client, name: str) -> None:
    for method in ("GET", "DELETE", "PUT", "PATCH"):
        body: dict[str, Any] = {"json": campaign(version=1)} if method.startswith("P") else {}
        async with admin_client.request(method, f"{CAMPAIGNS}/{name}", **body) as response:
            await problem(response, 404, "not_found")


async def test_a_change_must_name_the_version(admin_client: Client) -> None:
    await created(admin_client)
    for method in ("PUT", "PATCH"):
        async with admin_client.request(method, f"{CAMPAIGNS}/sale", json=campaign(name="X")) as response:
            assert "If-Match" in (await problem(response, 428, "precondition_required"))["detail"]


@pytest.mark.parametrize(
    ("if_match", "version", "status"),
    [
        ('"1"', None, 200),
        ('W/"1"', None, 200),
        ('"7", "1"', None, 200),
        ("*", None, 200),
        (None, 1, 200),
        ('"1"', 1, 200),
        ('"2"', None, 412),
        (None, 2, 412),
        ('"1"', 2, 400),
        ("1", None, 400),
        ('"x"', None, 400),
        (None, "1", 422),
        (None, True, 422),
        (None, 0, 422),
    ],
)
async def test_the_version_by_header_or_body(
    admin_client: Client, if_match: str | None, version: Any, status: int
) -> None:
    await created(admin_client)
    body = {"name": "X"} | ({} if version is None else {"version": version})
    headers = {} if if_match is None else {"If-Match": if_match}
    async with admin_client.patch(f"{CAMPAIGNS}/sale", json=body, headers=headers) as response:
        document = await response.json()
        assert response.status == status, document
    if status == 412:
        assert (document["code"], document["current_version"]) == ("version_conflict", 1)
        assert response.headers["ETag"] == '"1"'
    async with admin_client.get(f"{CAMPAIGNS}/sale") as response:
        assert (await response.json())["name"] == ("X" if status == 200 else "Sale")


async def test_put_can_be_sent_again_after_a_lost_answer(admin_client: Client) -> None:
    await created(admin_client)
    body, headers = campaign(priority=5, starts_at="2026-11-01T00:00:00+07:00"), {"If-Match": '"1"'}
    for _ in range(3):
        async with admin_client.put(f"{CAMPAIGNS}/sale", json=body, headers=headers) as response:
            assert (response.status, response.headers["ETag"]) == (200, '"2"')
    async with admin_client.put(f"{CAMPAIGNS}/sale", json=campaign(priority=6), headers=headers) as response:
        await problem(response, 412, "version_conflict")


async def test_a_stale_send_back_is_a_conflict_and_no_field_error(admin_client: Client) -> None:
    read = await created(admin_client)
    async with admin_client.patch(f"{CAMPAIGNS}/sale", json={"name": "X", "version": 1}) as response:
        assert response.status == 200
    async with admin_client.put(f"{CAMPAIGNS}/sale", json={**read, "priority": 1}) as response:
        await problem(response, 412, "version_conflict")


async def test_only_a_real_change_moves_the_versions(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    catalog = "SELECT version FROM catalog_version"
    await created(admin_client, variants=[{"key": "a", "weight": 1, "content": {"n": 1}}])
    before = await connection.fetchval(catalog)
    for content, version in (({"n": 1}, 1), ({"n": True}, 2)):
        patch = {"variants": [{"key": "a", "weight": 1, "content": content}]}
        headers = {"If-Match": "*"}
        async with admin_client.patch(f"{CAMPAIGNS}/sale", json=patch, headers=headers) as response:
            assert (await response.json())["version"] == version
        assert await connection.fetchval(catalog) == before + version - 1


async def test_patch_replaces_fields_whole_and_null_resets(admin_client: Client) -> None:
    await created(admin_client, caps=[{"limit": 1, "window": "day"}], cooldown="1h", priority=3)
    patch = {"caps": [{"limit": 2, "window": "week"}], "cooldown": None, "priority": None, "version": 1}
    headers = {"Content-Type": "application/merge-patch+json"}
    async with admin_client.patch(f"{CAMPAIGNS}/sale", data=json.dumps(patch), headers=headers) as response:
        changed = await response.json()
    assert changed["caps"] == [{"limit": 2, "window": "week"}]
    assert (changed["cooldown"], changed["priority"], changed["name"]) == (None, 100, "Sale")
    for wrong, field in (({"name": None}, "name"), ({"colour": 1}, "colour"), ({"caps": 1}, "caps")):
        async with admin_client.patch(f"{CAMPAIGNS}/sale", json={**wrong, "version": 2}) as response:
            assert (await problem(response, 422, "invalid"))["errors"][0]["field"] == field


async def test_of_many_changes_to_one_version_one_wins(admin_client: Client) -> None:
    await created(admin_client)

    async def rename(n: int) -> int:
        headers = {"If-Match": '"1"'}
        async with admin_client.patch(
            f"{CAMPAIGNS}/sale", json={"name": f"n{n}"}, headers=headers
        ) as response:
            return response.status

    statuses = await asyncio.gather(*(rename(n) for n in range(12)))
    assert sorted(statuses) == [200] + [412] * 11


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_between_read_and_write_is_a_conflict(
    admin_client: Client, connection: asyncpg.Connection, method: str
) -> None:
    """We read version 1; another session's version 2 commits before our UPDATE has its lock."""
    new = await created(admin_client)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE campaigns SET name = 'theirs', version = 2 WHERE id = $1", new["id"])
    body: dict[str, Any] = {"json": {"name": "ours", "version": 1}} if method == "PATCH" else {}

    async def change() -> dict[str, Any]:
        async with admin_client.request(method, f"{CAMPAIGNS}/sale", **body) as response:
            return await problem(response, 412, "version_conflict")

    ours = asyncio.create_task(change())
    async with asyncio.timeout(10):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not ours.done()
    await transaction.commit()
    assert (await ours)["current_version"] == 2
    async with admin_client.get(f"{CAMPAIGNS}/sale") as response:
        assert (await response.json())["name"] == "theirs"


async def test_delete_archives_and_can_be_undone(admin_client: Client) -> None:
    await created(admin_client, status="live")
    async with admin_client.delete(f"{CAMPAIGNS}/sale", headers={"If-Match": '"9"'}) as response:
        await problem(response, 412, "version_conflict")
    for _ in range(2):
        async with admin_client.delete(f"{CAMPAIGNS}/sale") as response:
            assert (response.status, response.headers["ETag"]) == (204, '"2"')
    async with admin_client.get(f"{CAMPAIGNS}/sale") as response:
        assert (await response.json())["status"] == "archived"
    async with admin_client.patch(f"{CAMPAIGNS}/sale", json={"status": "live", "version": 2}) as response:
        assert ((await response.json())["status"], response.status) == ("live", 200)


async def test_a_row_spoilt_by_hand_can_be_seen_and_corrected(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    await created(admin_client)
    await connection.execute("""UPDATE campaigns SET caps = '[{"limit": 0}]'""")
    async with admin_client.get(CAMPAIGNS) as response:
        assert (await response.json())["campaigns"][0]["caps"] == [{"limit": 0}]
    async with admin_client.patch(f"{CAMPAIGNS}/sale", json={"name": "X", "version": 1}) as response:
        assert (await problem(response, 422, "invalid"))["errors"][0]["field"].startswith("caps.0")
    async with admin_client.put(f"{CAMPAIGNS}/sale", json=campaign(version=1)) as response:
        assert ((await response.json())["caps"], response.status) == ([], 200)


async def test_without_the_database_503_in_time() -> None:
    closed = "postgresql://tayang@127.0.0.1:1/none"
    hung = await asyncio.start_server(_never_answer, "127.0.0.1")
    port = hung.sockets[0].getsockname()[1]
    async with hung:
        for dsn in (closed, f"postgresql://tayang@127.0.0.1:{port}/none"):
            async with (
                serve_admin(dsn, database_timeout_seconds=0.3) as client,
                asyncio.timeout(5),
                client.get(CAMPAIGNS) as response,
            ):
                await problem(response, 503, "unavailable")
                assert int(response.headers["Retry-After"]) > 0


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_a_statement_that_hangs_is_cut_and_the_next_request_works(
    database: Database, connection: asyncpg.Connection
) -> None:
    settings: dict[str, Any] = {"database_timeout_seconds": 0.5, "pool_max_connections": 1}
    async with serve_admin(database.primary_dsn, **settings) as client:
        await created(client)
        async with connection.transaction():
            await connection.execute("LOCK TABLE campaigns IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(5), client.get(CAMPAIGNS) as response:
                await problem(response, 503, "unavailable")
        async with client.get(CAMPAIGNS) as response:
            assert response.status == 200


@pytest.mark.parametrize("name", ["insert_campaign", "update_campaign"])
def test_the_statements_take_the_fields_in_the_order_of_the_model(name: str) -> None:
    columns = re.search(r"\(\s*(key,.*?variants)", load_sql(name), re.DOTALL)
    assert columns is not None
    assert re.split(r",\s*", columns[1]) == list(CampaignIn.model_fields)
