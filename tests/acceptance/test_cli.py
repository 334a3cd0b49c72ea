"""The short-lived commands, as cron, a pipeline or a person runs them."""

import json
from pathlib import Path

import jwt
import pytest

from maintenance.duty import MERGE_LOCK
from tayang.embedded import EmbeddedCluster
from tests.acceptance.processes import Shell
from tests.support.database import Database
from tests.support.servers import closed_port, several_hosts
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET, Service

_MEMBERS = """
    SELECT coalesce(array_agg(user_id ORDER BY user_id), '{}') FROM audience_members
    JOIN campaigns ON id = campaign_id WHERE key = 'invited'
"""


async def test_merge_prints_its_figures(shell: Shell, service: Service, database: Database) -> None:
    await service.create("sale")
    for user in ("ani", "ani", "budi"):
        await service.show(user)

    merged = await shell.run("merge", primary_dsn=database.primary_dsn)

    assert merged.code == 0, merged
    assert merged.out.startswith("merged 3 rows in 0.")
    assert merged.out.endswith(
        "s: 3 new events, 0 duplicates dropped, 0 in quarantine; "
        "2 users and 1 campaigns touched; 0 rows left\n"
    )
    await service.show("citra")
    again = json.loads((await shell.run("merge", "--json", primary_dsn=database.primary_dsn)).out)
    assert again.pop("seconds") > 0
    assert again == {
        "rows": 1,
        "events": 1,
        "duplicates": 0,
        "quarantined": 0,
        "erased": 0,
        "erasing": False,
        "users": 1,
        "campaigns": 1,
        "rows_left": 0,
    }


async def test_merge_does_not_wait_longer_than_told(shell: Shell, database: Database) -> None:
    primary = await database.primary()
    async with primary.transaction():
        await primary.execute("SELECT pg_advisory_xact_lock($1)", MERGE_LOCK)
        ended = await shell.run("merge", "--wait", "0.1", primary_dsn=database.primary_dsn)
    assert (ended.code, ended.out) == (2, "")
    assert "--wait" in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_migrate_twice_and_a_merge_before_it(shell: Shell, empty_database: str) -> None:
    too_early = await shell.run("merge", primary_dsn=empty_database)
    assert too_early.code == 2
    assert "tayang migrate" in too_early.err

    first = await shell.run("migrate", primary_dsn=empty_database)
    second = await shell.run("migrate", primary_dsn=empty_database)

    assert first.code == second.code == 0, (first, second)
    assert first.out == second.out
    assert first.out.startswith("the schema is at ")
    assert (await shell.run("merge", primary_dsn=empty_database)).code == 0


async def test_commands_find_the_primary_behind_other_hosts(
    shell: Shell, cluster: EmbeddedCluster, empty_database: str
) -> None:
    name = empty_database.rpartition("/")[2]
    dsn = several_hosts(cluster, name, closed_port(), cluster.replica.port, cluster.primary.port)
    # psycopg and asyncpg both connect in here.
    for command in ("migrate", "merge"):
        ended = await shell.run(command, primary_dsn=dsn)
        assert ended.code == 0, ended

    nowhere = several_hosts(cluster, name, closed_port(), cluster.replica.port)
    ended = await shell.run("merge", primary_dsn=nowhere)
    assert ended.code == 1
    assert f"{cluster.replica.port}: a standby" in ended.err


async def test_a_dsn_that_makes_no_sense_is_named_without_its_password(shell: Shell) -> None:
    ended = await shell.run("merge", primary_dsn="postgresql://tayang:sec@ret:5@db1/tayang")
    assert ended.code == 2
    assert ended.err.startswith("tayang: TAYANG_PRIMARY_DSN: a host is not understood: ")
    assert "ret" not in ended.err


async def test_a_token_is_the_users(shell: Shell) -> None:
    ended = await shell.run("token", "ani", "--hours", "2", user_jwt_secret=USER_SECRET)
    claims = jwt.decode(ended.out.strip(), USER_SECRET, algorithms=["HS256"])
    assert claims["sub"] == "ani"
    assert claims["exp"] - claims["iat"] == 7200

    named = {"user_jwt_audience": "app,web", "user_jwt_issuer": "https://login"}
    ended = await shell.run("token", "ani", user_jwt_secret=USER_SECRET, **named)
    claims = jwt.decode(ended.out.strip(), USER_SECRET, algorithms=["HS256"], audience="app")
    assert (claims["aud"], claims["iss"]) == ("app", "https://login")

    without = await shell.run("token", "ani")
    assert without.code == 2
    assert without.err.startswith("tayang: TAYANG_USER_JWT_SECRET is not set")


async def test_import_audience(shell: Shell, service: Service, database: Database, tmp_path: Path) -> None:
    await service.create("invited", audience="listed")
    file = tmp_path / "users.csv"

    async def load(text: str, *options: str, campaign: str = "invited") -> tuple[int, str, str]:
        file.write_text(text)
        command = ("import-audience", str(file), "--campaign", campaign, *options)
        ended = await shell.run(*command, primary_dsn=database.primary_dsn)
        return ended.code, ended.out, ended.err

    primary = await database.primary()
    code, out, _ = await load("user_id\nbudi\nani\nani\n")
    assert (code, out) == (0, "invited: 3 lines (1 duplicates), 2 added, 0 removed, 2 members now\n")

    code, out, err = await load("citra\n\tdewi\neka,fitri\n")
    assert (code, out) == (2, "")
    assert "line 2 " in err
    assert "line 3 " in err
    code, _, err = await load("citra\n", campaign="nobody")
    assert code == 2
    assert "no campaign has the key 'nobody'" in err
    assert await primary.fetchval(_MEMBERS) == ["ani", "budi"], "neither changed anything"

    code, out, _ = await load("citra\n", "--mode", "add", "--json")
    assert code == 0
    assert (json.loads(out)["added"], json.loads(out)["members"]) == (1, 3)


@pytest.mark.parametrize("command", ["serve", "backoffice", "maintain", "merge", "migrate"])
async def test_without_a_database_a_command_says_which_setting_is_missing(shell: Shell, command: str) -> None:
    ended = await shell.run(command)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("tayang: TAYANG_PRIMARY_DSN is not set: ")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("admin_key", "TAYANG_ADMIN_KEY"),
        ("token_secrets", "TAYANG_TOKEN_SECRETS"),
        ("user_jwt_secret", "TAYANG_USER_JWT_SECRET"),
    ],
)
async def test_serve_says_which_secret_is_missing(shell: Shell, missing: str, expected: str) -> None:
    settings = {"admin_key": ADMIN_KEY, "token_secrets": TOKEN_SECRET, "user_jwt_secret": USER_SECRET}
    del settings[missing]
    ended = await shell.run("serve", primary_dsn="postgresql://127.0.0.1:1/nowhere", **settings)
    assert ended.code == 2
    assert expected in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("content", [None, '{"keys":[]}'])
async def test_serve_says_what_is_wrong_with_the_users_keys(
    shell: Shell, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_text(content)
    settings = {"admin_key": ADMIN_KEY, "token_secrets": TOKEN_SECRET, "user_jwt_jwks_file": str(file)}
    ended = await shell.run("serve", primary_dsn="postgresql://127.0.0.1:1/nowhere", **settings)
    assert ended.code == 2
    assert ended.err.startswith(f"tayang: TAYANG_USER_JWT_JWKS_FILE: {file} ")
    assert len(ended.err.splitlines()) == 1


async def test_a_wrong_value_is_named(shell: Shell) -> None:
    ended = await shell.run("merge", merge_interval_seconds="often")
    assert ended.code == 2
    assert ended.err.startswith("tayang: TAYANG_MERGE_INTERVAL_SECONDS: ")
