"""The policy over HTTP: what is accepted, that no change is lost, and that delivery hears of it."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    Client,
    Database,
    admin_client_fixture,
    connection_fixture,
    problem,
)

POLICY = "/v1/admin/policy"
CATALOG = "SELECT version FROM catalog_version"
NONE: dict[str, Any] = {"caps": [], "min_gap": None, "timezone": "UTC", "tags": {}, "holdout_percent": 0.0}
FULL = {
    "caps": [{"limit": 5, "window": "day"}, {"limit": 2, "window": "session"}],
    "min_gap": "60s",
    "timezone": "Asia/Jakarta",
    "tags": {"promo": {"caps": [{"limit": 1, "window": "24h"}], "min_gap": None}},
    "holdout_percent": 2.5,
}


async def put(client: Client, body: Any, **headers: str) -> dict[str, Any]:
    async with client.put(POLICY, json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        document: dict[str, Any] = await response.json()
        assert response.headers["ETag"] == f'"{document["version"]}"'
        return document


async def get(client: Client) -> dict[str, Any]:
    async with client.get(POLICY) as response:
        assert response.status == 200, await response.text()
        document: dict[str, Any] = await response.json()
        assert response.headers["ETag"] == f'"{document["version"]}"'
        return document


async def test_before_the_first_one_there_is_a_policy_without_limits(admin_client: Client) -> None:
    read = await get(admin_client)
    assert {name: read[name] for name in NONE} == NONE
    assert read["version"] == 1
    assert read["updated_at"].endswith("Z")


async def test_what_was_put_is_read_and_can_be_sent_back(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    before = await connection.fetchval(CATALOG)
    first = await get(admin_client)
    written = await put(admin_client, {**first, **FULL})
    assert written == {**FULL, "version": 2, "updated_at": written["updated_at"]}
    assert await get(admin_client) == written
    assert await connection.fetchval(CATALOG) == before + 1, "every api process reads it"
    changed = await put(admin_client, {**written, "caps": []})
    assert (changed["version"], changed["caps"], changed["min_gap"]) == (3, [], "60s")
    assert await put(admin_client, {}, **{"If-Match": "*"}) == {
        **NONE, "version": 4, "updated_at": (await get(admin_client))["updated_at"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("version", "if_match", "status", "code"),
    [
        (None, None, 428, "precondition_required"),
        (2, None, 412, "version_conflict"),
        (None, '"7", "2"', 412, "version_conflict"),
        (None, "3", 400, "bad_request"),
        (1, '"2"', 400, "bad_request"),
        ("1", None, 422, "invalid"),
    ],
)
async def test_a_change_must_name_the_version(
    admin_client: Client, version: Any, if_match: str | None, status: int, code: str
) -> None:
    body = {**FULL} if version is None else {**FULL, "version": version}
    headers = {} if if_match is None else {"If-Match": if_match}
    async with admin_client.put(POLICY, json=body, headers=headers) as response:
        document = await problem(response, status, code)
        if status == 412:
            assert (document["current_version"], response.headers["ETag"]) == (1, '"1"')
            assert "the policy" in document["detail"]
    assert (await get(admin_client))["version"] == 1


async def test_put_can_be_sent_again_after_a_lost_answer(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    for _ in range(3):
        assert (await put(admin_client, FULL, **{"If-Match": '"1"'}))["version"] == 2
    after = await connection.fetchval(CATALOG)
    await put(admin_client, FULL, **{"If-Match": "*"})
    assert await connection.fetchval(CATALOG) == after, "nothing has changed"
    async with admin_client.put(POLICY, json=NONE, headers={"If-Match": '"1"'}) as response:
        await problem(response, 412, "version_conflict")


async def test_a_stale_send_back_is_a_conflict_and_no_field_error(admin_client: Client) -> None:
    read = await get(admin_client)
    await put(admin_client, FULL, **{"If-Match": "*"})
    async with admin_client.put(POLICY, json={**read, "min_gap": "5s"}) as response:
        await problem(response, 412, "version_conflict")


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"colour": "red"}, "colour", "spelling"),
        ({"updated_at": "2020-01-01T00:00:00Z"}, "updated_at", "no field"),
        ({"caps": [{"limit": 65, "window": "day"}]}, "caps.0.limit", "at most 64"),
        ({"caps": [{"limit": 1, "window": "fortnight"}]}, "caps.0.window", "fortnight"),
        ({"min_gap": "soon"}, "min_gap", "soon"),
        ({"timezone": "Jakarta"}, "timezone", "IANA"),
        ({"tags": {"promo": {}}}, "tags", "no limits"),
        ({"tags": {"Promo!": {"min_gap": "1s"}}}, "tags.Promo!", "lower-case"),
        ({"tags": {"promo": {"min_gap": "1s", "gap": 1}}}, "tags.promo.gap", "spelling"),
        ({"tags": {f"t{n}": {"min_gap": "1s"} for n in range(51)}}, "tags", "at most 50"),
        ({"holdout_percent": 101}, "holdout_percent", "at most 100"),
        ({"holdout_percent": "5"}, "holdout_percent", "number"),
    ],
)
async def test_what_is_wrong_is_named(
    admin_client: Client, body: dict[str, Any], field: str, said: str
) -> None:
    async with admin_client.put(POLICY, json=body, headers={"If-Match": "*"}) as response:
        (error,) = (await problem(response, 422, "invalid"))["errors"]
    assert error["field"] == field
    assert said in error["detail"]
    assert (await get(admin_client))["version"] == 1


async def test_numbers_beyond_all_bounds_are_refused(admin_client: Client) -> None:
    headers = {"If-Match": "*", "Content-Type": "application/json"}
    async with admin_client.put(POLICY, data=b'{"holdout_percent": 1e999}', headers=headers) as response:
        (error,) = (await problem(response, 422, "invalid"))["errors"]
    assert (error["field"], error["code"]) == ("holdout_percent", "too_large")


async def test_of_many_changes_to_one_version_one_wins(admin_client: Client) -> None:
    async def change(seconds: int) -> int:
        body = {"min_gap": f"{seconds}s"}
        async with admin_client.put(POLICY, json=body, headers={"If-Match": '"1"'}) as response:
            return response.status

    statuses = await asyncio.gather(*(change(seconds) for seconds in range(1, 13)))
    assert sorted(statuses) == [200] + [412] * 11


async def test_a_change_between_read_and_write_is_a_conflict(
    admin_client: Client, connection: asyncpg.Connection
) -> None:
    """We read version 1; another session's version 2 commits before our UPDATE has its lock."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE policy SET version = 2")

    async def change() -> dict[str, Any]:
        async with admin_client.put(POLICY, json={**FULL, "version": 1}) as response:
            return await problem(response, 412, "version_conflict")

    ours = asyncio.create_task(change())
    async with asyncio.timeout(10):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not ours.done()
    await transaction.commit()
    assert (await ours)["current_version"] == 2
