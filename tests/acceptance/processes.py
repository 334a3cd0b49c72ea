"""`tayang …` as real processes, and the proof that nothing of them is left."""

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
#: The slowest is the first start of `tayang up` on a busy machine: initdb, a base backup, the migration.
READY_SECONDS = 60.0
#: A stop may have to wait for a flush and a merge; a killed supervisor's parts find out by themselves.
ENDED_SECONDS = 30.0
#: A process that was orphaned may stay as a zombie, for which psutil would wait.
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Command:
    """One running `tayang` process; its output is in files, so that it never blocks on a full pipe."""

    def __init__(self, process: asyncio.subprocess.Process, out: Path, err: Path) -> None:
        self._process = process
        self._out = out
        self._err = err

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> Ended:
        """Wait for its end."""
        async with asyncio.timeout(ENDED_SECONDS):
            code = await self._process.wait()
        return Ended(code, self.out, self.err)

    async def says(self, text: str, *, times: int = 1) -> None:
        """Return when its output or its log has the text; fail if it ends before."""

        def said() -> bool:
            if (self.out + self.err).count(text) >= times:
                return True
            assert self._process.returncode is None, f"it ended: {self.out}\n{self.err}"
            return False

        await until(said, f"it says {text!r} {times} times", seconds=READY_SECONDS)

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Shell:
    """Starts commands with one data directory and ports of its own."""

    def __init__(self, data_dir: Path, logs_dir: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.http_port, self.backoffice_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._logs_dir = logs_dir
        self._numbers = itertools.count(1)
        self._started: list[Command] = []
        self._environment = {name: value for name, value in os.environ.items() if "TAYANG" not in name}
        self._environment |= {
            "TAYANG_DATA_DIR": str(data_dir),
            "TAYANG_HTTP_PORT": str(self.http_port),
            "TAYANG_BACKOFFICE_PORT": str(self.backoffice_port),
            **(environment or {}),
        }

    async def start(self, *arguments: str, **settings: object) -> Command:
        """`tayang <arguments>`, with settings such as primary_dsn="…"."""
        number = next(self._numbers)
        out, err = self._logs_dir / f"{number}.out", self._logs_dir / f"{number}.err"
        variables = {f"TAYANG_{name.upper()}": str(value) for name, value in settings.items()}
        with out.open("wb") as out_stream, err.open("wb") as err_stream:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tayang", *arguments),
                cwd=ROOT,
                env=self._environment | variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out_stream,
                stderr=err_stream,
            )
        self._started.append(Command(process, out, err))
        return self._started[-1]

    async def run(self, *arguments: str, **settings: object) -> Ended:
        return await (await self.start(*arguments, **settings)).ended()

    async def nothing_left(self) -> None:
        """Return when no process of ours runs and nobody listens on our ports."""
        deadline = time.monotonic() + ENDED_SECONDS
        while (left := self._processes()) and time.monotonic() < deadline:
            await asyncio.to_thread(psutil.wait_procs, left, timeout=_LOOK_AGAIN_SECONDS)
        assert not left, f"left running: {left}"
        for port in (self.http_port, self.backoffice_port):
            assert not listens(port), f"port {port} is still in use"

    async def close(self) -> None:
        """Kill what a failed test has left, then fail for it."""
        left = self._processes()
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        for command in self._started:
            await command.kill()
        assert not left, f"left running: {left}"
        await self.nothing_left()

    def _processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.environ().get("TAYANG_DATA_DIR") == str(self.data_dir):
                return True
            return Path(process.cwd()).is_relative_to(self.data_dir)  # the servers work there
        except (psutil.Error, OSError):
            return False


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Stopwatch:
    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started
