"""Where tests put the files of their servers."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Two servers with at most 2 GB of WAL each, and their data.
MEMORY_MIN_BYTES = 6 * 2**30


@contextmanager
def servers_directory(prefix: str, *, memory: bool = True) -> Iterator[Path]:
    """A new directory that the servers' account can enter; removed afterwards. In memory if there is room."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=memory_directory() if memory else None))
    if os.geteuid() == 0:
        directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def memory_directory() -> Path | None:
    """Where files are made six times as fast: each test makes a database of 570 of them, on two servers.

    None (the usual place) without a memory file system that has room.
    """
    memory = Path("/dev/shm")  # noqa: S108  (mkdtemp makes a directory of our own in it)
    try:
        roomy = shutil.disk_usage(memory).free >= MEMORY_MIN_BYTES
    except OSError:
        return None
    return memory if roomy and os.access(memory, os.W_OK) else None
