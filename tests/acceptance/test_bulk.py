"""`tayang campaigns` and `tayang audience` against `tayang serve`, and a worker that is killed in between."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from api.admin.audience_load import COPY_BYTES
from tests.acceptance.processes import Shell
from tests.acceptance.serving import serve, workers_of
from tests.support.database import Database
from tests.support.keys import new_key
from tests.support.service import ADMIN_KEY, Service
from tests.support.waiting import until


async def test_a_catalog_in_a_repository(shell: Shell, service: Service, tmp_path: Path) -> None:
    variants = [{"key": "a", "weight": 1, "content": {"title": "Hi"}}]
    sale = {"key": "sale", "name": "Sale", "placement": "home", "status": "live", "variants": variants}
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "sale.json").write_text(json.dumps(sale))
    _, writer = await new_key(service.database, "campaigns:read", "campaigns:write")
    _, reader = await new_key(service.database, "campaigns:read")
    host, port = service.address

    async def run(*arguments: str, key: str, expected: int) -> str:
        url = ("--url", f"http://{host}:{port}")
        ended = await shell.run("campaigns", *arguments, *url, api_key=key)
        assert ended.code == expected, ended
        return ended.out + ended.err

    apply = ("apply", str(tmp_path))
    assert "would be created 1" in await run(*apply, "--dry-run", key=reader, expected=3)
    assert "scope" in await run(*apply, "--yes", key=reader, expected=2)
    assert "created 1" in await run(*apply, "--yes", key=writer, expected=0)
    await run("export", "--dir", str(tmp_path / "new"), key=reader, expected=0)
    assert json.loads((tmp_path / "new" / "campaigns" / "sale.json").read_text()) == sale


async def test_an_upload_outlives_the_worker_that_took_it(
    shell: Shell, database: Database, tmp_path: Path
) -> None:
    command = await serve(shell, database, 1)
    file = tmp_path / "users.csv"
    file.write_bytes(b"".join(b"%d-%s\n" % (number, b"x" * 100) for number in range(15_000)))
    gate = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        """More than one piece, and then the client is slow."""
        yield file.read_bytes()[: COPY_BYTES + 200_000]
        await gate.wait()

    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(shell.url, headers=headers) as session:
        path = await _opened(session)
        sending = asyncio.create_task(_send(session, path, half()))

        async def kept() -> bool:
            async with session.get(path) as response:
                return bool((await response.json())["offset"] >= COPY_BYTES)

        await until(kept, "a piece is kept")
        (worker,) = workers_of(command)
        os.kill(worker, signal.SIGKILL)
        gate.set()
        with pytest.raises(aiohttp.ClientError):
            await sending

    upload = path.rpartition("/")[2]
    arguments = ("audience", "upload", "sale", str(file), "--resume", upload, "--url", shell.url)
    try:
        ended = await shell.run(*arguments, admin_key=ADMIN_KEY)
        assert ended.code == 0, ended
        assert ended.out == "sale: 15,000 lines (0 duplicates), 15,000 added, 0 removed, 15,000 members now\n"
        primary = await database.primary()
        assert await primary.fetchval("SELECT count(DISTINCT user_id) FROM audience_members") == 15_000
    finally:
        command.signal(signal.SIGTERM)
        await command.ended()


async def _opened(session: aiohttp.ClientSession) -> str:
    variants = [{"key": "a", "weight": 1, "content": {}}]
    sale = {"key": "sale", "name": "Sale", "placement": "home", "variants": variants}
    async with session.post("/v1/admin/campaigns", json=sale) as response:
        assert response.status == 201
    async with session.post("/v1/admin/campaigns/sale/audience/uploads") as response:
        return response.headers["Location"]


async def _send(session: aiohttp.ClientSession, path: str, data: Any) -> None:
    headers = {"Content-Type": "application/partial-upload", "Upload-Offset": "0"}
    async with session.patch(path, data=data, headers=headers) as response:
        await response.read()
