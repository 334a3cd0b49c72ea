"""A running `tayang up`, known by its banner, as its user knows it."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from tayang.settings import RUN_FILE
from tests.acceptance.processes import Command, Ended, Shell, listens
from tests.support.waiting import until

_SHIM = Path(__file__).parent / "curl_shim.py"
_LINE_SECONDS = 20.0


class Up:
    def __init__(self, command: Command, shell: Shell) -> None:
        self.command = command
        self._shell = shell
        banner = command.out
        self.curls = [line for line in banner.splitlines() if line.startswith("curl ")]
        self.pids = {name: int(pid) for name, pid in re.findall(r"(\w+(?: \w+)*) \(pid (\d+)", banner)}
        self.ports = [int(port) for port in re.findall(r"port (\d+)\)", banner)]
        self.admin_key = re.findall(r"^admin key +(\S+)$", banner, re.MULTILINE)[0]

    def setting(self, name: str) -> str:
        """What the other commands find of the running service."""
        text = (self._shell.data_dir / RUN_FILE).read_text()
        return str(re.findall(rf"^TAYANG_{name}='(.*)'$", text, re.MULTILINE)[0])

    async def paste(self, number: int) -> Any:
        """What line `number` of the banner (from 1) prints when pasted into a shell."""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", self.curls[number - 1]),
            env=os.environ | {"PATH": self._path()},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_LINE_SECONDS):
            out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    async def campaigns(self) -> list[str]:
        """What line 2 shows."""
        return [popup["campaign"] for popup in (await self.paste(2))["popups"]]

    async def on_replica(self, query: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self.setting("REPLICA_DSN"))
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        self.command.signal(number)
        return await self.gone()

    async def gone(self) -> Ended:
        """Wait until all of it has ended; nothing of it runs or listens any more."""
        ended = await self.command.ended()
        await self._shell.nothing_left()
        assert not [port for port in self.ports if listens(port)], "a database server still listens"
        return ended

    def _path(self) -> str:
        """With a `curl` in it, also on a machine that has none."""
        if shutil.which("curl"):
            return os.environ["PATH"]
        directory = self._shell.data_dir.parent / "bin"
        directory.mkdir(exist_ok=True)
        shim = directory / "curl"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} {_SHIM} "$@"\n')
        shim.chmod(0o755)
        return f"{directory}:{os.environ['PATH']}"


class UpShell(Shell):
    async def up(self, **settings: object) -> Up:
        """`tayang up`, once its banner is there."""
        command = await self.start("up", **settings)
        await command.says("Stop everything: Ctrl-C")
        up = Up(command, self)
        await until(lambda: len(up.curls) == 4, "the banner is complete")
        return up
