"""A Redis server of our own in a directory of its own: appendonly, synced every second."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from loadtests.service import BenchError

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02
REMEDY: Final = (
    "redis-server is not in PATH, and the Redis baseline needs it: apt-get install redis-server (or your "
    "system's equal), or leave it out with --without redis"
)


@dataclass(frozen=True)
class RedisServer:
    url: str
    pid: int
    version: str


def available() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Raises BenchError with the remedy if there is none."""
    program = shutil.which("redis-server")
    if program is None:
        raise BenchError(REMEDY)
    with (
        tempfile.TemporaryDirectory(prefix="tayang-redis-") as directory,
        (Path(directory) / "redis.log").open("wb") as log,
    ):
        port = _free_port()
        options = [
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no"),
            # What is acknowledged may be lost for a second; no snapshots beside the log.
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        ]
        process = subprocess.Popen(
            [program, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            version = _answering(process, port, Path(log.name))
            yield RedisServer(f"redis://127.0.0.1:{port}/0", process.pid, version)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answering(process: "subprocess.Popen[bytes]", port: int, log: Path) -> str:
    """Wait until it answers; returns its version."""
    deadline = time.monotonic() + _START_SECONDS
    with redis.Redis(port=port, socket_timeout=_START_SECONDS) as client:
        while True:
            try:
                return str(client.info("server")["redis_version"])
            except redis.ConnectionError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text(errors="replace")[-1000:]
                    raise BenchError(f"redis-server did not get ready: {error}; it said: {said}") from error
            time.sleep(_POLL_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
