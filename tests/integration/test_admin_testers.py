"""Test users over HTTP: who can be one, how many, and that delivery hears of it."""

import asyncio
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from yarl import URL

from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    Client,
    Database,
    admin_client_fixture,
    connection_fixture,
    problem,
)

TESTERS = "/v1/admin/test-users"
CATALOG = "SELECT version FROM catalog_version"


def of(user_id: str) -> URL:
    return URL(f"{TESTERS}/{quote(user_id, safe='')}", encoded=True)


async def put(client: Client, user_id: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    async with client.put(of(user_id), json=fields) as response:
        return response.status, await response.json()


async def listed(client: Client, **query: Any) -> dict[str, Any]:
    async with client.get(TESTERS, params=query) as response:
        assert response.status == 200, await response.text()
        document: dict[str, Any] = await response.json()
        return document


@pytest.mark.parametrize(
    "user_id", ["ani", "a b", "a/b", "a%b", "a%2Fb", "{a}", "ümit?&#+", "user:1@x", "..x"]
)
async def test_every_user_id_can_be_one(admin_client: Client, user_id: str) -> None:
    status, created = await put(admin_client, user_id, note="QA's phone")
    assert (status, created["user_id"], created["note"]) == (201, user_id, "QA's phone")
    assert (await listed(admin_client)) == {"test_users": [created], "next_cursor": None}
    assert await put(admin_client, user_id, note="ours") == (200, {**created, "note": "ours"})
    async with admin_client.delete(of(user_id)) as response:
        assert response.status == 204
    async with admin_client.delete(of(user_id)) as response:
        await problem(response, 404, "not_found")
    assert (await listed(admin_client))["test_users"] == []


async def test_the_list_comes_in_pages(admin_client: Client) -> None:
    for user_id in ("c", "a", "é", "b"):
        await put(admin_client, user_id)
    first = await listed(admin_client, limit=3)
    assert [one["user_id"] for one in first["test_users"]] == ["a", "b", "c"]
    rest = await listed(admin_client, limit=3, cursor=first["next_cursor"])
    assert ([one["user_id"] for one in rest["test_users"]], rest["next_cursor"]) == (["é"], None)
    for query in ({"limit": 0}, {"cursor": "c"}, {"cursor": first["next_cursor"][:-2]}):
        async with admin_client.get(TESTERS, params=query) as response:
            await problem(response, 400, "bad_parameter")


async def test_a_body_is_not_needed_and_its_fields_are_checked(admin_client: Client) -> None:
    async with admin_client.put(of("ani")) as response:
        assert (response.status, (await response.json())["note"]) == (201, "")
    for fields, field in (({"note": "n" * 201}, "note"), ({"note": "\0"}, "note"), ({"nota": "x"}, "nota")):
        async with admin_client.put(of("ani"), json=fields) as response:
            assert (await problem(response, 422, "invalid"))["errors"][0]["field"] == field


@pytest.mark.parametrize("user_id", ["a\nb", "a" * 129, "ü" * 81])
async def test_what_is_no_user_id_is_refused(admin_client: Client, user_id: str) -> None:
    async with admin_client.put(of(user_id)) as response:
        assert (await problem(response, 422, "invalid"))["errors"][0]["field"] == "user_id"


async def test_only_a_real_change_moves_the_catalog(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    async def moves(note: str | None) -> bool:
        before = await connection.fetchval(CATALOG)
        async with (
            admin_client.delete(of("ani"))
            if note is None
            else admin_client.put(of("ani"), json={"note": note})
        ) as response:
            assert response.status in (200, 201, 204, 404)
        return bool(await connection.fetchval(CATALOG) > before)

    notes = (None, "a", "a", "b", "b", None, None)
    assert [await moves(note) for note in notes] == [False, True, False, True, False, True, False]


async def test_at_most_1000_also_when_several_come_at_once(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO test_users (user_id, note) SELECT 'user ' || n, '' FROM generate_series(1, 998) AS n"
    )
    statuses = [
        status for status, _ in await asyncio.gather(*(put(admin_client, f"new {n}") for n in range(8)))
    ]
    assert sorted(statuses) == [201] * 2 + [409] * 6
    async with admin_client.put(of("one more")) as response:
        assert "delete" in (await problem(response, 409, "limit_reached"))["detail"]
    assert (await put(admin_client, "user 1", note="known ones may change"))[0] == 200
    assert await connection.fetchval("SELECT count(*) FROM test_users") == 1000
