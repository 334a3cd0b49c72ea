"""Every list in pages, the same way, while rows come and go."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from yarl import URL

from api.admin.pages import cursor
from tests.integration.admin_support import (  # noqa: F401  (pytest finds fixtures by name)
    CAMPAIGNS,
    Client,
    admin_client_fixture,
    created,
    problem,
)

Add = Callable[[Client, str], Awaitable[None]]


async def add_campaign(client: Client, name: str) -> None:
    await created(client, key=name)


async def add_tester(client: Client, name: str) -> None:
    async with client.put(f"/v1/admin/test-users/{name}") as response:
        assert response.status == 201


async def add_key(client: Client, name: str) -> None:
    async with client.post("/v1/admin/keys", json={"name": name, "scopes": ["ingest"]}) as response:
        assert response.status == 201


#: List → its path, its rows' place, and what adds a row.
LISTS: Final[dict[str, tuple[str, str, Add]]] = {
    "campaigns": (CAMPAIGNS, "id", add_campaign),
    "test_users": ("/v1/admin/test-users", "user_id", add_tester),
    "keys": ("/v1/admin/keys", "id", add_key),
    "entries": ("/v1/admin/audit", "id", add_tester),
}
lists = pytest.mark.parametrize("name", LISTS)


async def page(client: Client, path: str | URL, name: str) -> tuple[list[Any], str | None, str | None]:
    """Rows, next_cursor, and the address of the next page."""
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        document = await response.json()
        assert set(document) == {name, "next_cursor"}
        following = response.links.getone("next", None)
        link = None if following is None else URL(str(following["url"])).path_qs
        return document[name], document["next_cursor"], link


@lists
async def test_no_row_comes_twice_and_none_is_left_out_while_others_come(
    admin_client: Client, name: str
) -> None:
    path, place, add = LISTS[name]
    for number in range(5):
        await add(admin_client, f"m{number}")
    before = {row[place] for row in (await page(admin_client, path, name))[0]}
    assert len(before) == 5
    seen: list[Any] = []
    following: str | None = f"{path}?limit=2&unknown=1"
    while following is not None:
        rows, next_cursor, following = await page(admin_client, following, name)
        assert len(rows) <= 2
        assert (next_cursor is None) == (following is None)
        if len(seen) < 5:  # one before all others and one behind them, in the order of their names
            for new in (f"a{len(seen)}", f"z{len(seen)}"):
                await add(admin_client, new)
        seen += [row[place] for row in rows]
    assert len(set(seen)) == len(seen)
    assert before <= set(seen)


@lists
async def test_the_link_keeps_what_was_asked(admin_client: Client, name: str) -> None:
    path, _, add = LISTS[name]
    await add(admin_client, "a1")
    await add(admin_client, "a2")
    _, next_cursor, link = await page(admin_client, f"{path}?limit=1&what=", name)
    assert URL(str(link)).path == path
    assert dict(URL(str(link)).query) == {"limit": "1", "what": "", "cursor": next_cursor}


@lists
async def test_what_is_no_cursor_of_the_list_is_refused(admin_client: Client, name: str) -> None:
    other = next(each for each in LISTS if each != name)
    place: Any = 1 if name in ("campaigns", "entries") else "aaaaaaaaaaaa"
    good = cursor(name, place)
    await page(admin_client, f"{LISTS[name][0]}?cursor={good}", name)
    wrong: list[Any] = [None, True, 1.0, 0, -1, 2**63, "", "\0", "\ud800", [1], {"a": 1}, "x" * 2000]
    wrong.append("1" if isinstance(place, int) else 1)
    texts = [cursor(other, place), good[:-2], good + "!", "1", "x", "bnVsbA", "W10", "%C3%BC", "A" * 5000]
    texts += [base64.urlsafe_b64encode(json.dumps([name, each]).encode()).decode() for each in wrong]
    for text in texts:
        async with admin_client.get(URL(f"{LISTS[name][0]}?cursor={text}", encoded=True)) as response:
            document = await problem(response, 400, "bad_parameter")
        assert document["parameter"] == "cursor", text
