"""The examples of docs/campaigns.md that can happen at any time, through the API, POST and all."""

import re
from collections import Counter
from typing import Any, Final

import pytest

from tests.support.scene_engine import Played, full_query, session_of
from tests.support.scenes import DOCUMENT, Event, Row, Scene, read
from tests.support.service import ADMIN_KEY, Service, bearer
from tests.support.waiting import until

ADMIN: Final = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}
_KINDS: Final = {"clicked": "click", "dismissed": "dismiss", "converted": "convert"}
_TEXT: Final = DOCUMENT.read_text(encoding="utf-8")
(_LIFT,) = re.findall(r"```sql\n(.*?)```", _TEXT, re.DOTALL)
SCENES: Final = [
    (scene, rows)
    for scene in read(_TEXT)
    if (rows := [row for row in scene.rows if row.timeless and row.delivered == (0, 0)])
]


def test_half_of_the_examples_can_happen_at_any_time() -> None:
    assert len(SCENES) >= 12


@pytest.mark.parametrize(("scene", "rows"), SCENES, ids=[f"line {scene.line}" for scene, _ in SCENES])
async def test_what_an_example_says_happens_through_the_api(
    service: Service, scene: Scene, rows: list[Row]
) -> None:
    users = {row.line: Played(scene, row, f"line-{row.line}-").user for row in rows}
    await _prepare(service, scene, {row.line: users[row.line] for row in rows if row.listed})
    for row in rows:
        if row.test_user:
            await _admin(service, "PUT", f"test-users/{users[row.line]}")
    await service.database.caught_up()
    for row in rows:
        await _live(service, scene, row, users[row.line])
        verdicts = await _explained(service, users[row.line], full_query(scene, row))
        answer = await service.popups(users[row.line], full_query(scene, row))
        assert {key: verdicts[key] for key in row.claims} == {
            key: claim.code or "shown" for key, claim in row.claims.items()
        }, f"line {row.line}"
        _compare(row, [popup["campaign"] for popup in answer])


async def test_the_figures_of_a_lift_are_those_of_both_groups(service: Service) -> None:
    await service.create("ramadan-sale", holdout_percent=50, placement="home")
    groups: Counter[str] = Counter()
    for number in range(40):
        user = f"user-{number}"
        for _ in range(2):  # who asks again is the same user
            _, answer = await service.get_popups(user)
        ((group, token),) = [
            (group, each["token"]) for group in ("popups", "held_out") for each in answer.get(group, [])
        ]
        groups[group] += 1
        if number % 3 == 0:
            groups[f"{group} converted"] += 1
            await _post(service, user, "interactions", {"token": token, "kind": "convert"})
    expected = tuple(
        groups[f"{group}{which}"] for group in ("popups", "held_out") for which in ("", " converted")
    )
    assert all(expected)
    primary = await service.database.primary()

    async def counted() -> bool:
        await service.database.merge()
        found = await primary.fetchrow(_LIFT)
        return found is not None and tuple(found) == expected

    await until(counted, f"the figures are {expected}")


def _compare(row: Row, shown: list[str]) -> None:
    expected = {key for key, claim in row.claims.items() if claim.code is None}
    assert set(shown) == expected, f"line {row.line}"
    for key, claim in row.claims.items():
        if claim.rank is not None:
            assert shown.index(key) + 1 == claim.rank, f"line {row.line}, {key}"


async def _prepare(service: Service, scene: Scene, listed: dict[int, str]) -> None:
    if scene.policy is not None:
        await _admin(service, "PUT", "policy", json=scene.policy)
    for campaign in scene.campaigns:
        await service.create(**campaign)
        if campaign.get("audience") == "listed":
            lines = "".join(f"{user}\n" for user in listed.values())
            path = f"campaigns/{campaign['key']}/audience"
            await _admin(service, "PUT", path, data=lines.encode(), headers={"Content-Type": "text/csv"})


async def _explained(service: Service, user: str, query: str) -> dict[str, str]:
    """The verdict on each campaign."""
    url = f"/v1/admin/explain?user_id={user}&{query}"
    async with service.client.get(url, headers=ADMIN) as response:
        assert response.status == 200, await response.text()
        document = await response.json()
        return {each["campaign"]: each["verdict"] for each in document["campaigns"]}


async def _live(service: Service, scene: Scene, row: Row, user: str) -> None:
    """What the user has seen and done before, with real popups and their tokens."""
    tokens: dict[str, str] = {}
    for event in row.before:
        if event.kind in ("shown", "ghost"):
            popups = await service.popups(user, _query(scene, row, event))
            tokens |= {popup["campaign"]: popup["token"] for popup in popups}
        if event.kind == "shown":
            await _post(service, user, "impressions", {"token": tokens[event.campaign]})
        elif event.kind != "ghost":  # a ghost is an event by itself
            document = {"token": tokens[event.campaign], "kind": _KINDS[event.kind]}
            await _post(service, user, "interactions", document)


def _query(scene: Scene, row: Row, event: Event) -> str:
    """All that the user could see then; in the session of the event."""
    said = [each for each in full_query(scene, row).split("&") if not each.startswith(("limit=", "session="))]
    session = event.session or session_of(row)
    return "&".join([*said, "limit=20", *([f"session={session}"] if session else [])])


async def _post(service: Service, user: str, events: str, document: dict[str, Any]) -> None:
    async with service.client.post(f"/v1/{events}", json=document, headers=bearer(user)) as response:
        assert response.status == 202, await response.text()


async def _admin(service: Service, method: str, path: str, **sent: Any) -> None:
    headers = {**ADMIN, **sent.pop("headers", {})}
    async with service.client.request(method, f"/v1/admin/{path}", headers=headers, **sent) as response:
        assert response.ok, await response.text()
