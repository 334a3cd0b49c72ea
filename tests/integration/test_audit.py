"""The audit log: who changed what, before and after, in the transaction of the change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.support.keys import holding, new_key
from tests.support.service import ADMIN_KEY, Service

AUDIT = "/v1/admin/audit"
ADMIN = {**holding(ADMIN_KEY), "If-Match": "*"}


async def log(service: Service, **query: Any) -> dict[str, Any]:
    async with service.client.get(AUDIT, params=query, headers=ADMIN) as response:
        document: dict[str, Any] = await response.json(content_type=None)
        assert response.status == 200, document
        return document


async def change(service: Service, method: str, path: str, *, text: str = ADMIN_KEY, **options: Any) -> Any:
    headers = {**ADMIN, **holding(text), **options.pop("headers", {})}
    async with service.client.request(method, f"/v1/admin/{path}", headers=headers, **options) as response:
        assert response.ok, await response.text()
        return await response.json(content_type=None) if response.status != 204 else None


def told(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Oldest first, without number and time."""
    return [
        (entry["actor"], entry["kind"], entry["subject"], entry["action"], entry["before"], entry["after"])
        for entry in reversed(document["entries"])
    ]


async def test_campaigns_and_audiences(service: Service) -> None:
    writer, text = await new_key(service.database, "campaigns:write")
    await service.create("sale")
    await change(service, "PATCH", "campaigns/sale", text=text, json={"name": "New"})
    await change(service, "PATCH", "campaigns/sale", text=text, json={"name": "New"})  # changes nothing
    csv = {"Content-Type": "text/csv"}
    await change(service, "PUT", "campaigns/sale/audience", text=text, headers=csv, data="a\nb\n")
    await change(service, "PUT", "campaigns/sale/audience?mode=remove", headers=csv, data="b\n")
    await change(service, "DELETE", "campaigns/sale")

    created, *rest = told(await log(service, what="campaign:sale"))
    assert created[:5] == ("bootstrap", "campaign", "sale", "insert", None)
    assert (created[5]["name"], created[5]["variants"][0]["key"]) == ("sale", "a")
    assert rest == [
        (
            writer,
            "campaign",
            "sale",
            "update",
            *({"name": n, "version": v} for n, v in (("sale", 1), ("New", 2))),
        ),
        (
            *("bootstrap", "campaign", "sale", "update"),
            *({"status": s, "version": v} for s, v in (("live", 2), ("archived", 3))),
        ),
    ]
    assert told(await log(service, what="audience")) == [
        (writer, "audience", "sale", "replace", {"members": 0}, {"members": 2, "added": 2, "removed": 0}),
        ("bootstrap", "audience", "sale", "remove", {"members": 2}, {"members": 1, "added": 0, "removed": 1}),
    ]


async def test_policy_and_test_users_who_are_not_named(service: Service) -> None:
    await change(service, "PUT", "policy", json={"min_gap": "5s"})
    await change(service, "PUT", "test-users/ani", json={"note": "QA"})
    await change(service, "DELETE", "test-users/ani")

    (policy,) = told(await log(service, what="policy"))
    assert (policy[0], policy[3], policy[4]["document"]) == ("bootstrap", "update", {})
    assert policy[5]["document"]["min_gap"] == "5s"
    entries = await log(service, what="test_user:ani")
    assert [(entry[3], (entry[4] or entry[5])["note"]) for entry in told(entries)] == [
        ("insert", "QA"),
        ("delete", "QA"),
    ]
    assert (await log(service, what="test_user:budi"))["entries"] == []
    primary = await service.database.primary()
    assert not await primary.fetchval("SELECT bool_or(a::text LIKE '%ani%') FROM audit_log AS a")


async def test_keys_without_their_secrets(service: Service) -> None:
    key = await change(service, "POST", "keys", json={"name": "crm", "scopes": ["ingest"]})
    again = await change(service, "POST", f"keys/{key['id']}/rotate")
    await change(service, "DELETE", f"keys/{key['id']}")

    entries = told(await log(service, what=f"key:{key['id']}"))
    assert [(entry[0], entry[3]) for entry in entries] == [
        ("bootstrap", "insert"),
        ("bootstrap", "update"),
        ("bootstrap", "update"),
    ]
    assert [list(entry[5]) for entry in entries[1:]] == [["rotated_at"], ["revoked_at"]]
    for text in (key["key"], again["key"]):
        assert text.rpartition("_")[2] not in str(entries)


async def test_what_is_undone_is_not_told_and_hands_in_the_database_are(service: Service) -> None:
    primary = await service.database.primary()
    await service.create("sale")
    with pytest.raises(asyncpg.NotNullViolationError):
        await primary.execute("UPDATE campaigns SET name = 'x'; UPDATE campaigns SET name = NULL")
    await primary.execute("UPDATE campaigns SET priority = 7")
    login = await primary.fetchval("SELECT session_user")
    assert told(await log(service))[1:] == [
        (f"role:{login}", "campaign", "sale", "update", {"priority": 100}, {"priority": 7})
    ]


async def test_pages_and_filters(service: Service) -> None:
    reader, text = await new_key(service.database, "campaigns:write")
    for number in range(5):
        await change(service, "PUT", f"test-users/{number}", text=text if number % 2 else ADMIN_KEY)
    whole = (await log(service, what="test_user"))["entries"]
    assert [entry["id"] for entry in whole] == sorted((entry["id"] for entry in whole), reverse=True)
    first = await log(service, what="test_user", limit=3)
    rest = await log(service, what="test_user", limit=3, cursor=first["next_cursor"])
    assert first["entries"] + rest["entries"] == whole
    assert rest["next_cursor"] is None
    assert [entry["actor"] for entry in (await log(service, who=reader))["entries"]] == [reader] * 2
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await log(service, since=later))["entries"] == []
    assert (await log(service, what="test_user", since=whole[0]["at"]))["entries"] == whole[:1]


@pytest.mark.parametrize(
    "query", [{"what": "users"}, {"since": "yesterday"}, {"cursor": "0"}, {"limit": "0"}, {"who": "a\0"}]
)
async def test_wrong_parameters_are_named(service: Service, query: dict[str, str]) -> None:
    async with service.client.get(AUDIT, params=query, headers=ADMIN) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["code"]) == (400, "bad_parameter")
    assert problem["detail"].startswith(next(iter(query)))
