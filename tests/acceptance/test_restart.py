"""Stops and rolling restarts under load: nobody is left without an answer, nothing acknowledged is lost."""

import signal
from uuid import UUID

from api.tokens import TokenSigner
from tests.acceptance.processes import Shell
from tests.acceptance.serving import Phone, phones, ready, serve, workers_of
from tests.support.database import Database
from tests.support.service import TOKEN_SECRET, Service
from tests.support.waiting import until

_PHONES = 8
_ENOUGH = 200


def _answers(everyone: list[Phone]) -> int:
    return min(len(phone.statuses) for phone in everyone)


async def test_a_rolling_restart_fails_no_request(shell: Shell, service: Service, database: Database) -> None:
    await service.create("sale")
    command = await serve(shell, database, workers=2)
    before = workers_of(command)

    async with phones(shell.http_port, _PHONES) as everyone:
        await until(lambda: _answers(everyone) >= 20, "it is under load")
        command.signal(signal.SIGHUP)
        await command.says("drains")
        # While the first is under way: however often it is asked for meanwhile, it is done once more.
        command.signal(signal.SIGHUP)
        command.signal(signal.SIGHUP)
        await command.says("rolling restart done", times=2)
        served = _answers(everyone)
        await until(lambda: _answers(everyone) >= served + 20, "the successors serve")

    assert {status for phone in everyone for status in phone.statuses} == {200, 202}
    after = workers_of(command)
    assert len(before) == len(after) == 2
    assert not before & after
    command.signal(signal.SIGTERM)
    ended = await command.ended()
    assert ended.code == 0, ended.err
    assert ended.err.count(" serves, pid ") == 4
    assert "ended with code" not in ended.err
    await shell.nothing_left()
    await _all_in_the_log(database, everyone)


async def test_a_stop_answers_every_request_that_was_begun(
    shell: Shell, service: Service, database: Database
) -> None:
    await service.create("sale")
    command = await serve(shell, database, workers=2)

    async with phones(shell.http_port, _PHONES) as everyone:
        await until(lambda: _answers(everyone) >= 20, "it is under load")
        command.signal(signal.SIGTERM)
        ended = await command.ended()

    assert ended.code == 0, ended.err
    await shell.nothing_left()
    assert {status for phone in everyone for status in phone.statuses} <= {200, 202, 503}
    for phone in everyone:
        assert all(refusal.headers["retry-after"] == "1" for refusal in phone.refusals)
    await _all_in_the_log(database, everyone)


async def test_a_successor_that_does_not_get_ready_changes_nothing(
    shell: Shell, service: Service, database: Database
) -> None:
    await service.create("sale")
    command = await serve(shell, database, workers=2, reload_ready_seconds=1)
    before = workers_of(command)
    allow = f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS"
    with database.cluster.primary.connect("postgres") as connection:
        connection.execute(f"{allow} false")  # those that are connected stay so
        command.signal(signal.SIGHUP)
        await command.says("rolling restart given up: a new api worker 0 was not ready within 1 s")
        connection.execute(f"{allow} true")

    assert workers_of(command) == before
    assert await ready(shell.url)
    command.signal(signal.SIGTERM)
    assert (await command.ended()).code == 0
    await shell.nothing_left()


async def _all_in_the_log(database: Database, everyone: list[Phone]) -> None:
    await database.merge()
    primary = await database.primary()
    logged = {UUID(str(row[0])) for row in await primary.fetch("SELECT impression_id FROM impressions")}
    signer = TokenSigner((TOKEN_SECRET,))
    acknowledged = [token for phone in everyone for token in phone.acknowledged]
    assert len(acknowledged) >= _PHONES * 10
    assert {UUID(bytes=signer.verify(token).impression_id) for token in acknowledged} <= logged
