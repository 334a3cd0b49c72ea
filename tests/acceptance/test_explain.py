"""`tayang explain`, as a support person or a script runs it."""

import json
from typing import Any

import pytest

from tests.acceptance.processes import Ended, Shell
from tests.support.explained import backoffice
from tests.support.service import ADMIN_KEY, Service


async def explain(shell: Shell, service: Service, *arguments: str, **settings: Any) -> Ended:
    host, port = service.address
    url = f"http://{host}:{port}"
    return await shell.run("explain", *arguments, "--url", url, **{"admin_key": ADMIN_KEY, **settings})


async def test_it_tells_in_lines_what_the_user_sees_and_why(shell: Shell, service: Service) -> None:
    android = {"attribute": "platform", "op": "eq", "value": "android"}
    gold = {"attribute": "attr.tier", "op": "eq", "value": "gold"}
    await service.create("first", priority=1, targeting={"all": [android, gold]})
    await service.create("second", priority=2, caps=[{"limit": 1, "window": "lifetime"}], cooldown="30m")
    await service.show("ani")

    ended = await explain(shell, service, "ani", "--placement", "home", "--platform", "ios")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("ani at home, 2")
    assert lines[0].endswith("Z: nothing")
    assert lines[1].startswith("counts of ")
    assert "from the replica" in lines[1]
    needs = "first: targeting: it needs platform = android and attr.tier = gold"
    assert lines[2] == f"{needs}; the request has no attr.tier, platform = ios"
    assert lines[3] == "second: capped: shown 1 time ever, the limit is 1: for good"
    assert lines[4].startswith("    also cooling_down: shown less than 30m ago; again from ")

    options = ("--platform", "android", "--attr", "tier=gold", "--tz", "Asia/Jakarta", "--limit", "1")
    ended = await explain(shell, service, "ani", "--placement", "home", *options, "--session", "s1")
    assert ended.out.splitlines()[0].endswith("Z: first")
    assert ended.out.splitlines()[2] == "1. first: shown (variant a): no other comes after it"

    one = await explain(shell, service, "ani", "--placement", "home", "--campaign", "second", "--json")
    answer = json.loads(one.out)
    assert [each["campaign"] for each in answer["campaigns"]] == ["second"]
    assert answer["user_id"] == "ani"


async def test_at_another_time_and_of_the_backoffice(shell: Shell, service: Service) -> None:
    await service.create("early", starts_at="2126-11-01T00:00:00+07:00", timezone="Asia/Jakarta")
    async with backoffice(service.database) as office:
        url = str(office._base_url)
        for at, verdict in (("2126-10-31T16:59:59Z", "not_started"), ("2126-11-01T00:00:00+07:00", "shown")):
            ended = await shell.run(
                *("explain", "ani", "--placement", "home", "--at", at, "--url", url), admin_key=ADMIN_KEY
            )
            assert ended.code == 0, ended
            assert f"early: {verdict}" in ended.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--placement", "home", "--at", "tomorrow"), "at must be a date"),
        (("--placement", "home", "--limit", "99"), "limit must be"),
        (("--placement", "home", "--tz", "Mars"), "tz must be"),
        (("--placement", "home", "--attr", "gold"), "--attr 'gold' has no value"),
        (("--placement", "home", "--campaign", "none-such"), "campaign: no campaign has this id or key"),
        ((), "--placement"),
    ],
)
async def test_bad_input_is_named(
    shell: Shell, service: Service, arguments: tuple[str, ...], named: str
) -> None:
    ended = await explain(shell, service, "ani", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.err


async def test_a_wrong_key_or_none(shell: Shell, service: Service) -> None:
    wrong = await explain(
        shell, service, "ani", "--placement", "home", admin_key="not-the-key-of-the-service"
    )
    assert wrong.code == 2
    assert wrong.err.startswith("tayang: http://")
    assert "doesn't know this key" in wrong.err
    missing = await explain(shell, service, "ani", "--placement", "home", admin_key="")
    assert missing.code == 2
    assert missing.err.startswith("tayang: there is no key: give an API key")


async def test_a_service_that_is_away_or_fails(shell: Shell, service: Service) -> None:
    away = await shell.run("explain", "ani", "--placement", "home", admin_key=ADMIN_KEY)
    assert away.code == 1
    assert away.err.startswith(f"tayang: no service answers at {shell.url} (")
    assert len(away.err.splitlines()) == 1

    for server in service.delivery.reader.servers:
        server.connected.clear()
    failed = await explain(shell, service, "ani", "--placement", "home")
    assert failed.code == 1
    assert failed.err.endswith(": Neither the replica nor the primary answers. Try again.\n")

    nonsense = await shell.run("explain", "ani", "--placement", "home", "--url", "8080", admin_key=ADMIN_KEY)
    assert nonsense.code == 2
    assert "--url '8080' is no address" in nonsense.err
