"""One server: its process, its log file, and what a test may do to it."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import psycopg

from tayang.embedded import processes
from tayang.embedded.account import Account
from tayang.embedded.binaries import Binaries
from tayang.embedded.config import FILE_NAME
from tayang.embedded.credentials import USER, Credentials
from tayang.embedded.errors import EmbeddedError
from tayang.embedded.queries import query

READY_SECONDS = 60.0
PORT_RETRY_SECONDS = 0.1
REAP_SECONDS = 5.0
CONNECT_SECONDS = 5
STATEMENT_TIMEOUT_MS = 60_000
LOG_MAX_BYTES = 5_000_000
LOG_LINES_SHOWN = 10

StopMode = Literal["fast", "immediate", "smart"]
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "smart": signal.SIGTERM}


@dataclass(frozen=True)
class Site:
    """What the servers of one cluster share."""

    account: Account
    binaries: Binaries
    credentials: Credentials


class Node:
    """A server in `data_dir/NAME`; after a failover its role is the other one.

    Its port stays the same until the cluster is stopped and started again.
    """

    def __init__(self, name: Literal["primary", "replica"], data_dir: Path) -> None:
        self.name = name
        self.directory = data_dir / name
        self.log_file = data_dir / "logs" / f"{name}.log"
        self._site: Site | None = None
        self._settings: Callable[[int], str] = str
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, site: Site, settings: Callable[[int], str]) -> None:
        """Before the first start: `settings` gives the text of tayang.conf for a port."""
        self._site, self._settings, self._port = site, settings, None

    @property
    def port(self) -> int:
        if self._port is None:
            raise EmbeddedError(f"the {self.name} has no port yet: start the cluster first")
        return self._port

    @property
    def pid(self) -> int | None:
        """The postmaster's, also of one that an earlier supervisor left; None if there is none."""
        if self._process is not None and self._is_ours():
            return self._process.pid
        pid = _number(self._status_lines()[:1])
        return pid if pid is not None and processes.works_in(pid, self.directory) else None

    def running(self) -> bool:
        """A suspended server runs, too."""
        return self.pid is not None

    def dsn(self, database: str = "tayang") -> str:
        return f"postgresql://{USER}:{self._require_site().credentials.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "tayang") -> psycopg.Connection[Any]:
        return psycopg.connect(
            self.dsn(database),
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
        )

    def start(self) -> None:
        """Return when the server takes connections. EmbeddedError has its last log lines if it doesn't."""
        if self._is_ours():
            return
        self.clear_leftovers()
        deadline = time.monotonic() + READY_SECONDS
        try:
            while not self._launch(self._port or _free_port(), deadline):
                time.sleep(PORT_RETRY_SECONDS)  # another process was quicker to take the port
        except BaseException:
            self.stop()
            raise

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop; at once when `mode` takes too long, by force when that does, too. A stopped one stays so."""
        processes.end(self.directory, STOP_SIGNALS[mode])
        self._reap()

    def kill(self) -> None:
        """Die as in a crash of the machine: the postmaster and all of its children by SIGKILL."""
        processes.kill(self.directory)
        self._reap()

    def suspend(self) -> None:
        """Stand still with all children: connections stay open, and nothing answers."""
        processes.suspend(self.directory)

    def resume(self) -> None:
        processes.resume(self.directory)

    def promote(self) -> None:
        """End recovery and take writes; returns when it does."""
        with self.connect("postgres") as connection:
            connection.execute(query("promote"))

    def clear_leftovers(self) -> None:
        """End what an earlier supervisor left running in the directory."""
        processes.end(self.directory)
        # Its number may belong to another process by now (in a container it nearly always does), and then
        # PostgreSQL would refuse to start.
        (self.directory / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self, port: int, deadline: float) -> bool:
        """True when the server is ready, False when the port was taken."""
        site = self._require_site()
        site.account.write(self.directory / FILE_NAME, self._settings(port))
        command = (site.binaries.path("postgres"), "-D", str(self.directory))
        with self._open_log() as log:
            log_start = log.tell()
            self._process = site.account.spawn(command, cwd=self.directory, output=log)
        processes.wait_until(lambda: self._is_ready() or not self._is_ours(), deadline - time.monotonic())
        if self._is_ready():
            self._port = port
            return True
        lines = self._log_since(log_start)
        self.stop("immediate")
        if "Address already in use" in lines and time.monotonic() < deadline:
            return False
        shown = "\n".join(lines.splitlines()[-LOG_LINES_SHOWN:])
        raise EmbeddedError(f"the {self.name} did not start, see {self.log_file}; its last lines:\n{shown}")

    def _is_ours(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _is_ready(self) -> bool:
        # The postmaster writes its state into the eighth line, for pg_ctl.
        lines = self._status_lines()
        return self._is_ours() and _number(lines[:1]) == self.pid and lines[7:8] == ["ready"]

    def _status_lines(self) -> list[str]:
        try:
            text = (self.directory / "postmaster.pid").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _open_log(self) -> IO[bytes]:
        self.log_file.parent.mkdir(mode=0o700, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_MAX_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        self.log_file.touch(mode=0o600)
        return self.log_file.open("ab")

    def _log_since(self, start_byte: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(start_byte)
            return log.read().decode("utf-8", "replace")

    def _reap(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(REAP_SECONDS)

    def _require_site(self) -> Site:
        if self._site is None:
            raise EmbeddedError(f"the {self.name} is not set up: start the cluster first")
        return self._site


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _number(lines: list[str]) -> int | None:
    return int(lines[0]) if lines and lines[0].isdecimal() else None
