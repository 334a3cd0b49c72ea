"""`tayang up` as on a developer's machine: its banner, its lines to paste, its starts and stops."""

import os
import signal
import socket

import psycopg

from tayang.user_token import mint
from tests.acceptance.banner import UpShell
from tests.acceptance.phones import create_once, two_workers
from tests.acceptance.processes import Ended, Shell, Stopwatch
from tests.support.waiting import until

_TOTAL = """
    SELECT total FROM user_campaign_counts JOIN campaigns ON id = campaign_id
    WHERE user_id = 'demo-user' AND key = 'try-me'
"""


async def test_the_banners_lines_do_the_whole_job_and_a_restart_keeps_it(
    up_shell: UpShell,
) -> None:
    up = await up_shell.up()
    created = await up.paste(1)
    assert (created["key"], created["status"]) == ("try-me", "live")
    waited = Stopwatch()
    await until(up.campaigns, "line 2 shows the campaign")
    assert waited.seconds < 1.0, "it is on the replica within a second"
    assert (await up.paste(4))["parts"]["reads"]["servers"][0] == "replica"

    os.kill(up.pids["maintenance"], signal.SIGSTOP)
    for _ in range(2):
        assert await up.paste(3) == {"accepted": 1, "rejected": []}
    assert await up.campaigns() == [], "the cap of 2 holds before any merge"
    assert await up.on_replica(_TOTAL) is None, "nothing is merged yet"
    os.kill(up.pids["maintenance"], signal.SIGCONT)

    async def counted() -> bool:
        return bool(await up.on_replica(_TOTAL) == 2)

    await until(counted, "the counts are on the replica")
    assert await up.campaigns() == []
    assert (await up.paste(4))["status"] == "ready"
    assert (await up.stop(signal.SIGINT)).code == 0

    up = await up_shell.up()
    assert await up.on_replica(_TOTAL) == 2
    assert await up.campaigns() == []
    assert (await up.stop()).code == 0


async def test_a_cap_holds_on_two_workers_and_one_dying_stops_everything(up_shell: UpShell) -> None:
    up = await up_shell.up(workers=2)
    secret = up.setting("USER_JWT_SECRET")
    await create_once(up_shell.url, up.admin_key, "once-on-two-workers")
    async with two_workers(up_shell.url, mint(secret, "two-phones")) as (first, second):
        for worker in (first, second):
            await until(worker.popups, "the worker serves the campaign")

        await first.show()

        assert await first.popups() == [], "at once on the worker that was told"

        async def left_out() -> bool:
            return await second.popups() == []

        await until(left_out, "after the merge on the other one")
        assert await first.popups() == []
    os.kill(up.pids["api worker 1"], signal.SIGKILL)
    _assert_died(await up.gone())


async def test_when_the_primary_dies_everything_stops(up_shell: UpShell) -> None:
    up = await up_shell.up()

    os.kill(up.pids["primary"], signal.SIGKILL)

    _assert_died(await up.gone())


def _assert_died(ended: Ended) -> None:
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("tayang: ")
    assert "died; everything was stopped" in last


async def test_a_killed_supervisor_leaves_nothing_and_the_next_stops_when_maintenance_dies(
    up_shell: UpShell,
) -> None:
    up = await up_shell.up()

    up.command.signal(signal.SIGKILL)

    assert (await up.gone()).code == -signal.SIGKILL
    again = await up_shell.up()
    os.kill(again.pids["maintenance"], signal.SIGKILL)
    _assert_died(await again.gone())


async def test_a_port_in_use_is_one_clear_line(up_shell: UpShell) -> None:
    with socket.create_server(("127.0.0.1", up_shell.http_port)):
        ended = await up_shell.run("up")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err == (
        f"tayang: port {up_shell.http_port} is in use: stop what uses it, or set TAYANG_HTTP_PORT\n"
    )
    await up_shell.nothing_left()


async def test_data_of_another_postgresql_is_refused(shell: Shell) -> None:
    primary = shell.data_dir / "primary"
    primary.mkdir(parents=True)
    (primary / "PG_VERSION").write_text("12\n")

    ended = await shell.run("up")

    assert ended.code == 2
    assert "is from PostgreSQL 12" in ended.err
    assert len(ended.err.splitlines()) == 1
    await shell.nothing_left()
    assert (primary / "PG_VERSION").read_text() == "12\n", "left as it was"


async def test_a_server_of_yours_is_used_instead_of_an_embedded_one(
    shell: UpShell, empty_database: str
) -> None:
    up = await shell.up(primary_dsn=empty_database)
    assert sorted(up.pids) == ["api worker 0", "backoffice", "maintenance"]
    assert not (shell.data_dir / "primary").exists()
    await up.paste(1)
    assert await up.paste(3) == {"accepted": 1, "rejected": []}
    assert (await up.stop()).code == 0
    with psycopg.connect(empty_database) as connection:
        row = connection.execute("SELECT count(*) FROM campaigns WHERE key = 'try-me'").fetchone()
    assert row == (1,)
