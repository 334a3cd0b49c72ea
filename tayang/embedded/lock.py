"""One supervisor for a data directory."""

import fcntl
import os
from pathlib import Path

from tayang.embedded.errors import EmbeddedError


class DirectoryLock:
    """Held from its making to `release()`, or to the end of the process, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        """Raise EmbeddedError when another process holds it."""
        self._fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise EmbeddedError(
                f"{data_dir} is in use by another tayang (process {holder or 'unknown'});"
                " stop that one, or set TAYANG_DATA_DIR to another directory"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._fd)
