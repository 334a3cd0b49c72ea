"""`tayang erase-user`, beside a running service and `tayang maintain`."""

import json
from typing import Any

from tests.acceptance.processes import Ended, Shell
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, Service
from tests.support.traces import traces_in

USER = "user/to be erased?"


async def erase(shell: Shell, service: Service, *arguments: str, **settings: Any) -> Ended:
    host, port = service.address
    url = f"http://{host}:{port}"
    # An --url among the arguments comes later, and counts.
    return await shell.run("erase-user", "--url", url, *arguments, **{"admin_key": ADMIN_KEY, **settings})


async def test_it_waits_until_nothing_is_left(shell: Shell, service: Service, database: Database) -> None:
    await service.create("sale")
    await service.show(USER)
    primary = await database.primary()
    early = await erase(shell, service, USER, "--wait", "0")
    assert (early.code, early.out) == (1, "")
    assert early.err.endswith("is 'tayang maintain' running? Nothing comes back meanwhile\n")
    assert await traces_in(primary, USER)

    maintain = await shell.start("maintain", primary_dsn=database.primary_dsn)
    done = await erase(shell, service, USER)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("erased; rows removed: 0 of audience, 0 of counts, 0 of quarantine, ")
    assert await traces_in(primary, USER) == {}

    await service.show(USER)
    again = await erase(shell, service, USER, "--json")
    assert again.code == 0, again
    answer = json.loads(again.out)
    assert answer["status"] == "erased"
    assert await primary.fetchval("SELECT id::text FROM erasures") == answer["id"]
    await maintain.kill()


async def test_mistakes_are_named_in_one_line(shell: Shell, service: Service) -> None:
    cases: tuple[tuple[tuple[str, ...], dict[str, str], int, str], ...] = (
        (("x" * 129,), {}, 2, "user_id: has 129 characters"),
        (("ani", "--url", "nowhere"), {}, 2, "--url 'nowhere' is no address"),
        (("ani", "--url", "http://127.0.0.1:1"), {}, 1, "no service answers at http://127.0.0.1:1"),
        (("ani",), {"admin_key": "another-admin-key"}, 2, "doesn't know this key"),
    )
    for arguments, settings, code, mistake in cases:
        ended = await erase(shell, service, *arguments, **settings)
        assert (ended.code, ended.out) == (code, ""), ended
        assert mistake in ended.err
        assert len(ended.err.splitlines()) == 1
