"""The reference client when everything is killed: what was shown counts exactly once."""

import asyncio
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tayang_client import Popup, TayangError
from tests.acceptance.processes import ROOT, Command, Shell
from tests.acceptance.serving import serve, workers_of
from tests.support.database import Database
from tests.support.phone_client import Phone, phone
from tests.support.service import Service, user_jwt
from tests.support.waiting import until

_PHONES = 4
_SHOWINGS = 30


async def test_a_phone_that_is_killed_sends_what_it_had_shown(
    service: Service, database: Database, tmp_path: Path
) -> None:
    await service.create("sale")
    url = "http://{}:{}".format(*service.address)
    await _dying_phone(url, "ani", tmp_path / "events")
    async with phone(url, "ani", tmp_path / "events") as ani:
        assert len(ani.outbox) == 2
        await ani.send()
    await database.merge()
    row = await (await database.primary()).fetchrow("SELECT total, clicks FROM user_campaign_counts")
    assert row is not None
    assert tuple(row) == (1, 1)


async def test_whatever_is_killed_what_was_shown_counts_exactly_once(
    shell: Shell, service: Service, database: Database, tmp_path: Path
) -> None:
    """First the worker, then the whole service. In the end, all that was unsent then is sent once more."""
    await service.create("sale")
    command = await serve(shell, database, workers=1)
    shown: list[str] = []
    files = [tmp_path / f"user {number}" for number in range(_PHONES)]
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(phone(shell.url, each.name, each)) for each in files]
        showing = [asyncio.create_task(_show(each, shown)) for each in phones]
        await until(lambda: len(shown) >= _PHONES * _SHOWINGS // 3, "they show")
        [worker] = workers_of(command)
        os.kill(worker, signal.SIGKILL)
        await until(lambda: len(shown) >= _PHONES * _SHOWINGS * 2 // 3, "they go on", seconds=60)
        await _kill_all(command)
        for each in files:
            shutil.copy(each, each.with_suffix(".copy"))
        command = await serve(shell, database, workers=1)
        await asyncio.gather(*showing)
        for each in files:
            copy = each.with_suffix(".copy")
            again = await stack.enter_async_context(phone(shell.url, each.name, copy))
            await again.send()
            phones.append(again)
        assert [each.drops for each in phones] == [[]] * 2 * _PHONES
    command.signal(signal.SIGTERM)
    assert (await command.ended()).code == 0

    await database.merge()
    counts = await (await database.primary()).fetch("SELECT total FROM user_campaign_counts")
    assert [row["total"] for row in counts] == [_SHOWINGS] * _PHONES
    assert len(set(shown)) == _PHONES * _SHOWINGS


async def _show(phone: Phone, shown: list[str]) -> None:
    """One popup after the other, each as soon as there is one; ends when all are acknowledged."""

    async def fetched() -> Popup | None:
        phone.clock.seconds += 600  # it never pauses
        try:
            return (await phone.client.popups("home")).popups[0]
        except TayangError:
            return None

    for _ in range(_SHOWINGS):
        popup = await until(fetched, "the service is back", seconds=60)
        phone.client.shown(popup)
        shown.append(popup.token)

    async def sent() -> bool:
        phone.clock.seconds += 600
        return await phone.client.flush() == 0.0

    await until(sent, "all is acknowledged", seconds=60)


async def _dying_phone(url: str, user: str, file: Path) -> None:
    """An app that is killed after it has shown a popup, and before anything of that is sent."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.acceptance.dying_phone", url, user, user_jwt(user), str(file)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'docs/clients/python'}"},
    )
    async with asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL


async def _kill_all(command: Command) -> None:
    """The supervisor first, so that it starts no worker again."""
    supervisor = psutil.Process(command.pid)
    workers = supervisor.children()
    supervisor.suspend()
    for process in (*workers, supervisor):
        process.kill()
    await command.ended()
    await asyncio.to_thread(psutil.wait_procs, workers, timeout=20)
