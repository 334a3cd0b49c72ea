"""`tayang keys`, from the first key to its end, and that the running service follows."""

import json

from tests.acceptance.processes import Shell
from tests.support.keys import holding
from tests.support.service import Service
from tests.support.waiting import until


async def test_a_key_from_making_to_revoking(shell: Shell, service: Service) -> None:
    dsn = service.database.primary_dsn

    async def status(text: str, path: str = "campaigns") -> int:
        async with service.client.get(f"/v1/admin/{path}", headers=holding(text)) as response:
            return response.status

    made = await shell.run(
        *("keys", "create", "--name", "ci", "--scope", "campaigns:read", "--expires-days", "1"),
        primary_dsn=dsn,
    )
    assert made.code == 0, made
    text = made.out.strip()
    key_id = text.split("_")[1]
    assert made.err == f"key {key_id} for ci; it is not shown again:\n"
    assert (await status(text), await status(text, "keys")) == (200, 403)

    rotated = await shell.run("keys", "rotate", key_id, "--overlap-hours", "1", "--json", primary_dsn=dsn)
    second = json.loads(rotated.out)["key"]
    assert (await status(text), await status(second)) == (200, 200)

    table = await shell.run("keys", "list", primary_dsn=dsn)
    assert [word in table.out for word in (key_id, "ci", "active", "campaigns:read", text, second)] == [
        *(True,) * 4,
        *(False,) * 2,
    ]
    assert (await shell.run("keys", "revoke", key_id, primary_dsn=dsn)).out == f"{key_id} is revoked\n"

    async def refused() -> bool:
        return (await status(text), await status(second)) == (401, 401)

    await until(refused, "the revoked key is refused")
    listed = json.loads((await shell.run("keys", "list", "--json", primary_dsn=dsn)).out)
    assert [(key["id"], key["status"]) for key in listed] == [(key_id, "revoked")]


async def test_mistakes_are_named_in_one_line(shell: Shell, service: Service, empty_database: str) -> None:
    dsn = service.database.primary_dsn
    for arguments, mistake in (
        (("create", "--name", "x", "--scope", "root"), "--scope: "),
        (("create", "--name", "", "--scope", "admin"), "--name: "),
        (("rotate", "0" * 12), "no API key that holds has this id: 'tayang keys list' lists them"),
        (("revoke", "nonsense"), "no API key that holds has this id"),
    ):
        ended = await shell.run("keys", *arguments, primary_dsn=dsn)
        assert (ended.code, ended.out) == (2, ""), ended
        assert ended.err.startswith(f"tayang: {mistake}"), ended.err
        assert len(ended.err.splitlines()) == 1
    early = await shell.run("keys", "list", primary_dsn=empty_database)
    assert (early.code, early.err.splitlines()) == (
        2,
        ["tayang: the schema is older than this program: run 'tayang migrate'"],
    )
