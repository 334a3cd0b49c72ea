"""`tayang campaigns export` and `apply`: the catalog as files, through the admin API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from api.campaigns.model import CampaignIn
from api.campaigns.policy import PolicyIn
from tayang.admin_client import AdminClient, Answer
from tayang.as_code.apply import Options, apply
from tayang.as_code.catalog import POLICY, Catalog, read_catalog
from tayang.as_code.export import export
from tayang.embedded import EmbeddedCluster
from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    ADMIN_KEY,
    CAMPAIGNS,
    Client,
    admin_client_fixture,
    campaign,
    created,
    serve_admin,
)
from tests.support.database import new_database

YES: Final = Options(yes=True)
#: Every field of the model, and no default.
RICH: Final = {
    "key": "rich",
    "name": "Ramadan: 50 % “murah” 🎉",
    "status": "paused",
    "priority": 7,
    "placement": "home",
    "starts_at": "2026-11-01T00:00:00+07:00",
    "ends_at": "2026-12-01T00:00:00.250000+07:00",
    "timezone": "Asia/Jakarta",
    "schedule": [{"days": ["mon", "tue"], "from": "08:00", "to": "24:00"}],
    "schedule_timezone": "user",
    "audience": "listed",
    "targeting": {
        "all": [
            {"attribute": "platform", "op": "in", "value": ["android"]},
            {"not": {"attribute": "attr.trips", "op": "gte", "value": 2.5}},
        ]
    },
    "caps": [{"limit": 3, "window": "24h"}, {"limit": 10, "window": "lifetime"}],
    "cooldown": "30m",
    "stop_after": {"click": 1, "dismiss": {"count": 2, "for": "7d"}},
    "tags": ["promo", "food"],
    "exempt": True,
    "counts_for_policy": False,
    "budget": {"total": 1000, "per_day": 50, "pacing": "even", "hard": False},
    "holdout_percent": 12.5,
    "variants": [
        {"key": "b", "weight": 30, "content": {"title": "B", "n": 1.0, "deep": [{"x": None}, True, 1]}},
        {"key": "a", "weight": 0, "content": {}},
    ],
}
POLICY_DOCUMENT: Final = {
    "caps": [{"limit": 5, "window": "day"}],
    "min_gap": "60s",
    "timezone": "Asia/Jakarta",
    "tags": {"promo": {"caps": [{"limit": 2, "window": "24h"}], "min_gap": "5m"}},
    "holdout_percent": 3,
}


@asynccontextmanager
async def of(client: Client, kind: type[AdminClient] = AdminClient) -> AsyncIterator[AdminClient]:
    """What the commands use, for the test's service."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as session:
        yield kind(session, str(client.server.make_url("")).rstrip("/"))


@pytest.fixture(name="service")
async def service_fixture(admin_client: Client) -> AsyncIterator[AdminClient]:
    async with of(admin_client) as service:
        yield service


def written(directory: Path, **documents: Any) -> Path:
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (directory / f"{name}.json").write_text(text)
    return directory


def contents(catalog: Catalog) -> tuple[dict[str, Any], dict[str, Any]]:
    """Without what each service gives by itself."""
    campaigns = {
        key: {name: document[name] for name in CampaignIn.model_fields}
        for key, document in catalog.campaigns.items()
    }
    return campaigns, {name: catalog.policy[name] for name in PolicyIn.model_fields}


async def test_what_is_exported_gives_the_same_catalog_elsewhere(
    admin_client: Client, service: AdminClient, cluster: EmbeddedCluster, template: str, tmp_path: Path
) -> None:
    assert RICH.keys() == CampaignIn.model_fields.keys()
    defaults = CampaignIn.model_validate(campaign())
    rich = CampaignIn.model_validate(RICH)
    assert [name for name in RICH if getattr(rich, name) == getattr(defaults, name)] == ["placement"]
    await created(admin_client, **RICH)
    for status in ("draft", "live", "archived"):
        await created(admin_client, key=status, status=status)
    assert (await service.ask("PUT", POLICY, json=POLICY_DOCUMENT, headers={"If-Match": "*"})).ok
    assert await export(service, tmp_path, as_json=False) == 0

    async with (
        new_database(cluster, template) as other_database,
        serve_admin(other_database.primary_dsn) as other_client,
        of(other_client) as other,
    ):
        assert await apply(other, [tmp_path], YES) == 0
        assert contents(await read_catalog(other)) == contents(await read_catalog(service))
        assert len((await read_catalog(other)).campaigns) == 4
        assert await apply(other, [tmp_path], Options(dry_run=True)) == 0


async def test_a_file_is_canonical_and_without_defaults(
    admin_client: Client, service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await created(admin_client)
    await created(admin_client, **RICH)
    assert await export(service, tmp_path, as_json=True) == 0
    assert len(json.loads(capsys.readouterr().out)["written"]) == 3
    folder = tmp_path / "campaigns"
    assert json.loads((folder / "sale.json").read_text()) == campaign(status="draft")
    assert list(json.loads((folder / "rich.json").read_text())) == list(RICH)
    assert json.loads((folder / "rich.json").read_text()) == RICH | {
        "budget": {"total": 1000, "per_day": 50, "pacing": "even"}
    }
    assert (folder / "sale.json").read_bytes().endswith(b"}\n")
    assert json.loads((tmp_path / "policy.json").read_text()) == {}
    (folder / "other.json").write_text("{}")
    assert await export(service, tmp_path, as_json=True) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == {"written": [], "unchanged": 3, "without_campaign": [str(folder / "other.json")]}


async def test_changes_are_told_before_they_are_made(
    admin_client: Client, service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caps = [{"limit": 3, "window": "24h"}]
    await created(admin_client, caps=caps, ends_at="2027-01-01T00:00:00Z")
    same_end = "2027-01-01T07:00:00+07:00"
    changed = campaign(caps=[{"limit": 4, "window": "24h"}, {"limit": 9, "window": "week"}], ends_at=same_end)
    changed["variants"][0]["content"] = {"title": "Hello"}
    written(tmp_path, sale=changed, new=campaign(key="new"), policy={"min_gap": "5s"})
    said = (
        "~ the policy: change\n"
        '    min_gap: null → "5s"\n'
        "+ new: create\n"
        "~ sale: change\n"
        "    caps.0.limit: 3 → 4\n"
        '    caps.1: (none) → {"window": "week", "limit": 9}\n'
        '    variants.0.content.title: "Hi" → "Hello"\n'
    )

    assert await apply(service, [tmp_path], Options(dry_run=True)) == 3
    assert capsys.readouterr().out == said + "would be created 1, changed 2, archived 0; 0 unchanged\n"
    assert (await read_catalog(service)).campaigns["sale"]["version"] == 1

    assert await apply(service, [tmp_path], YES) == 0
    assert capsys.readouterr().out == said + "created 1, changed 2, archived 0; 0 unchanged\n"
    catalog = await read_catalog(service)
    assert {key: each["version"] for key, each in catalog.campaigns.items()} == {"sale": 2, "new": 1}

    for options in (YES, Options(dry_run=True), Options()):
        assert await apply(service, [tmp_path], options) == 0
        assert capsys.readouterr().out == "nothing to do: 3 unchanged\n"
    assert contents(await read_catalog(service)) == contents(catalog)


async def test_every_problem_of_every_file_is_told_and_nothing_is_written(
    service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"key":"\xe9"}')
    written(
        tmp_path,
        good=campaign(),
        same=campaign(),
        digits=campaign(key="123"),
        fields=campaign(key="x", prority=3, caps=[{"limit": 0, "window": "24h"}]),
        broken='{"key": ',
        twice='{"key": "a", "key": "b"}',
        listed="[]",
        policy={"min_gap": "soon"},
    )
    nowhere = tmp_path / "nowhere.json"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert await apply(service, [tmp_path, nowhere, empty], YES) == 2
    told = capsys.readouterr()
    assert told.out == ""
    for problem in (
        "broken.json: line 1, column 9",
        "digits.json: key: needs a letter",
        "fields.json: caps.0.limit: must be at least 1",
        "fields.json: prority: is no field here",
        "latin.json: byte 8 is not UTF-8",
        "listed.json: must be a JSON object",
        "policy.json: min_gap: ",
        f"same.json: key: {tmp_path / 'good.json'} has the key 'sale' too",
        "twice.json: 'key' is in one object twice",
        "nowhere.json: No such file",
        "empty: has no *.json",
        "11 problems; nothing was written",
    ):
        assert problem in told.err
    assert (await read_catalog(service)).campaigns == {}
    assert await apply(service, [nowhere], Options(yes=True, as_json=True)) == 2
    assert json.loads(capsys.readouterr().out) == {"problems": [f"{nowhere}: No such file or directory"]}


class Overtaken(AdminClient):
    """Somebody else changes `sale` and creates `new` just before the first write."""

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        if method != "GET" and not getattr(self, "over", False):
            self.over = True
            edit = {"json": {"name": "By somebody else"}, "headers": {"If-Match": "*"}}
            assert (await super().ask("PATCH", f"{CAMPAIGNS}/sale", **edit)).ok
            assert (await super().ask("POST", CAMPAIGNS, json=campaign(key="new", name="Theirs"))).ok
        return await super().ask(method, path, **options)


async def test_what_was_changed_meanwhile_is_not_overwritten_and_the_rest_goes_on(
    admin_client: Client, service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await created(admin_client)
    await created(admin_client, key="other")
    files = {key: campaign(key=key, name="Mine") for key in ("new", "other", "sale")}
    written(tmp_path, **files)
    async with of(admin_client, Overtaken) as overtaken:
        assert await apply(overtaken, [tmp_path], YES) == 1
    told = capsys.readouterr()
    assert "created 0, changed 1, archived 0" in told.out
    assert "sale was not written: the campaign is at version 2" in told.err
    assert "new was not written: the key 'new' belongs to campaign" in told.err
    assert "2 of 3 changes were not made: run it again" in told.err
    names = {key: each["name"] for key, each in (await read_catalog(service)).campaigns.items()}
    assert names == {"sale": "By somebody else", "new": "Theirs", "other": "Mine"}

    assert await apply(service, [tmp_path], Options(yes=True, as_json=True)) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [(change["key"], change["fields"], change["outcome"]) for change in changes] == [
        ("new", [{"field": "name", "before": "Theirs", "after": "Mine"}], "done"),
        ("sale", [{"field": "name", "before": "By somebody else", "after": "Mine"}], "done"),
    ]


async def test_prune_archives_what_has_no_file(
    admin_client: Client, service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("sale", "old", "older"):
        await created(admin_client, key=key, status="archived" if key == "older" else "live")
    written(tmp_path, sale=campaign(status="live"), policy={})
    assert await apply(service, [tmp_path], YES) == 0, "without --prune it stays"
    assert "nothing to do" in capsys.readouterr().out
    assert await apply(service, [tmp_path / "policy.json"], Options(yes=True, prune=True)) == 2
    assert "would archive every campaign" in capsys.readouterr().err
    assert await apply(service, [tmp_path], Options(dry_run=True, prune=True)) == 3
    assert capsys.readouterr().out.startswith("- old: archive\nwould be created 0, changed 0, archived 1")
    assert await apply(service, [tmp_path], Options(yes=True, prune=True)) == 0
    found = (await read_catalog(service)).campaigns
    assert {key: each["status"] for key, each in found.items()} == {
        "sale": "live",
        "old": "archived",
        "older": "archived",
    }
    assert await apply(service, [tmp_path], Options(prune=True)) == 0


async def test_nobody_is_asked_without_a_terminal(
    service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, sale=campaign())
    assert await apply(service, [tmp_path], Options()) == 2
    assert "say --yes" in capsys.readouterr().err
    assert (await read_catalog(service)).campaigns == {}


async def test_what_the_service_refuses_is_told(
    service: AdminClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is older, or set otherwise, than this program: here, for a field that nobody knows."""
    monkeypatch.setattr("tayang.as_code.plan.campaign_document", lambda found: {"key": found.key, "new": 1})
    written(tmp_path, sale=campaign())
    assert await apply(service, [tmp_path], YES) == 2
    assert "sale was not written: " in capsys.readouterr().err
