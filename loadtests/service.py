"""The service under test, started as its users start it: `tayang up` in a directory of its own."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil  # type: ignore[import-untyped]

_UP_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 60.0
_REMOVE_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 120.0
_REQUEST_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_LOG_LINES: Final = 15


class BenchError(Exception):
    """The benchmark can't go on; the message says why."""


class Service:
    """Context manager: a fresh embedded primary and replica, api workers, maintenance; gone at the end."""

    def __init__(self, workers: int = 1, *, shared_buffers_mib: int | None = None) -> None:
        self._workers = workers
        self._chosen: dict[str, str] = {}
        if shared_buffers_mib is not None:
            self._chosen["TAYANG_EMBEDDED_SHARED_BUFFERS_MIB"] = str(shared_buffers_mib)
        self.user_secret = secrets.token_urlsafe(32)
        self._admin_key = secrets.token_urlsafe(24)
        self._directory = Path(tempfile.mkdtemp(prefix="tayang-bench-"))
        self._data_dir = self._directory / "data"
        self._log = self._directory / "up.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._variables: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def address(self) -> tuple[str, int]:
        return self._variables["TAYANG_HTTP_HOST"], int(self._variables["TAYANG_HTTP_PORT"])

    @property
    def primary_dsn(self) -> str:
        return self._variables["TAYANG_PRIMARY_DSN"]

    @property
    def replica_dsn(self) -> str:
        return self._variables["TAYANG_REPLICA_DSN"]

    def pids(self) -> dict[str, int]:
        """The api worker (the first one), maintenance, primary, replica (the postmasters)."""
        return {
            "api": self._part("worker"),
            "maintenance": self._part("maintain"),
            "primary": self._postmaster("primary"),
            "replica": self._postmaster("replica"),
        }

    def workers(self) -> list[int]:
        """The processes of all api workers."""
        return self._parts("worker")

    @property
    def admin_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._admin_key}"}

    def admin(
        self, method: str, path: str, document: Any = None, *, csv: bytes | None = None, headers: Any = None
    ) -> Any:
        """A request to the admin API: its JSON. Raises BenchError unless the answer is 2xx."""
        connection = HTTPConnection(*self.address, timeout=_REQUEST_SECONDS)
        kind = "application/json" if csv is None else "text/csv"
        sent = {**self.admin_headers, "Content-Type": kind, **(headers or {})}
        try:
            connection.request(method, path, json.dumps(document) if csv is None else csv, sent)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status // 100 != 2:
            raise BenchError(f"{method} {path}: {answer.status} {body[:300]!r}")
        return json.loads(body)

    def metrics(self) -> dict[str, float]:
        """`GET /metrics`: each sample by its name with labels, as it is written there."""
        connection = HTTPConnection(*self.address, timeout=_REQUEST_SECONDS)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def command(self, *arguments: str) -> str:
        """`tayang <arguments>` beside the running service: its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "tayang", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise BenchError(
                f"tayang {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    @contextmanager
    def suspended_maintenance(self, end_sessions: Callable[[], None]) -> Iterator[None]:
        """Maintenance stands still, and `end_sessions` takes its locks away; afterwards it connects again."""
        maintenance = psutil.Process(self._part("maintain"))
        maintenance.suspend()
        try:
            end_sessions()
            yield
        finally:
            with suppress(psutil.Error):
                maintenance.resume()

    def last_words(self) -> str:
        """The end of the service's log, for a message."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(["its last lines:", *lines])

    def _start(self) -> None:
        if os.geteuid() == 0:
            self._directory.chmod(0o711)  # the servers' account passes through
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tayang", "up"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C is for us; we stop it in order
            )
        deadline = time.monotonic() + _UP_SECONDS
        while "Tayang is up." not in self._log.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"'tayang up' did not get ready; {self.last_words()}")
            time.sleep(_POLL_SECONDS)
        self._variables = _read_dotenv(self._data_dir / "up.env")

    def _stop(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # its parts and servers notice, and stop
                process.wait()
        # A server that was stopped while it started may write once more after `tayang up` has gone.
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self._directory.exists() and time.monotonic() < deadline:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        """Ours, without settings of whoever runs the benchmark: every run measures the defaults.

        But for the rate of a user: a few generators stand for many phones.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAYANG_")}
        return inherited | {
            "TAYANG_DATA_DIR": str(self._data_dir),
            "TAYANG_HTTP_PORT": "0",
            "TAYANG_BACKOFFICE_PORT": "0",
            "TAYANG_WORKERS": str(self._workers),
            "TAYANG_ADMIN_KEY": self._admin_key,
            "TAYANG_USER_JWT_SECRET": self.user_secret,
            "TAYANG_USER_MAX_REQUESTS_PER_SECOND": "1e6",
            **self._chosen,
        }

    def _part(self, command: str) -> int:
        for pid in self._parts(command):
            return pid
        raise BenchError(f"'tayang up' has no process 'tayang {command}'")

    def _parts(self, command: str) -> list[int]:
        assert self._process is not None
        found = []
        for child in psutil.Process(self._process.pid).children():
            with suppress(psutil.Error):
                if command in child.cmdline()[1:5]:
                    found.append(int(child.pid))
        return found

    def _postmaster(self, name: str) -> int:
        return int((self._data_dir / name / "postmaster.pid").read_text().split("\n", 1)[0])


def _read_dotenv(file: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name: value.strip("'") for name, _, value in lines}
