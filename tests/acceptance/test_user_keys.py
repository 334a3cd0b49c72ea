"""The keys of users' JWTs are rotated under `tayang serve`, in all of its workers."""

import signal
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.processes import Shell
from tests.acceptance.serving import serve, workers_of
from tests.support.database import Database
from tests.support.jwts import public_jwk, signed, write_jwks
from tests.support.raw_http import RawClient
from tests.support.service import Service
from tests.support.waiting import until

_WORKERS = 2
_CLIENTS = 20  # none of one worker: once in half a million runs


async def test_every_worker_takes_new_keys_over(
    shell: Shell, service: Service, database: Database, tmp_path: Path
) -> None:
    await service.create("sale")
    old_key, new_key = public_jwk("RS256", kid="old"), public_jwk("ES256", kid="new")
    old, new = signed("RS256", kid="old"), signed("ES256", kid="new")
    file = write_jwks(tmp_path / "jwks.json", [old_key])
    command = await serve(shell, database, _WORKERS, user_jwt_jwks_file=file, user_jwt_jwks_poll_seconds=0.05)
    assert [await statuses(shell, token) for token in (old, new)] == [{200}, {401}]

    write_jwks(file, [old_key, new_key])
    await until(lambda: everywhere(shell, "tayang_user_jwt_keys", 2), "all workers know both keys")
    assert [await statuses(shell, token) for token in (old, new)] == [{200}, {200}]

    before = workers_of(command)
    file.write_text('{"keys":[')
    await until(lambda: everywhere(shell, "tayang_user_jwks_broken", 1), "all workers see the broken file")
    command.signal(signal.SIGHUP)
    await command.says("rolling restart given up: ")
    assert workers_of(command) == before
    assert [await statuses(shell, token) for token in (old, new)] == [{200}, {200}]

    write_jwks(file, [new_key])
    await until(lambda: everywhere(shell, "tayang_user_jwt_keys", 1), "all workers have dropped the old key")
    assert [await statuses(shell, token) for token in (old, new)] == [{401}, {200}]
    command.signal(signal.SIGTERM)
    assert (await command.ended()).code == 0
    await shell.nothing_left()


async def statuses(shell: Shell, token: str) -> set[int]:
    """What clients get, each with a connection of its own."""
    client = RawClient("127.0.0.1", shell.http_port, keep_alive=False)
    headers = {"Authorization": f"Bearer {token}"}
    return {
        (await client.request("GET", "/v1/popups?placement=home", headers=headers)).status
        for _ in range(_CLIENTS)
    }


async def everywhere(shell: Shell, name: str, value: float) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{shell.url}/metrics") as response:
        text = await response.text()
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    ]
    return values == [value] * _WORKERS
