"""The JWKS file, which whoever rotates the keys replaces while we run."""

import asyncio
import logging
import os
import stat
from pathlib import Path

from api.user_jwt.jwks import JWKS_MAX_BYTES, parse_jwks
from api.user_jwt.keys import KeyRing

log = logging.getLogger("tayang.auth")


class JwksFile:
    """`ring` has the keys of the last content that could be used; `run()` is one task."""

    def __init__(self, file: Path, *, poll_seconds: float) -> None:
        """Raises ValueError naming the setting and the file."""
        self._file = file
        self._poll_seconds = poll_seconds
        self._content: bytes | None = None  # when it was last read; None: it could not be
        self.ring = KeyRing(())
        self.loads = 0
        self.error = ""  # why the file as it is now can't be used
        self._look()
        if self.error:
            raise ValueError(self.error)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            self.poll()

    def poll(self) -> None:
        """Take over what has changed. What can't be used is logged once, and the keys stay.

        The content is compared, not its time: two changes within a tick of the file system's clock have the
        same time, and a restored file may have an older one. A reading takes some 15 µs.
        """
        before, error = self.loads, self.error
        self._look()
        if self.loads > before:
            log.info("the users' keys are now %s", ", ".join(map(str, self.ring.keys)))
        elif self.error and self.error != error:
            log.error("%s; the keys stay as they were", self.error)

    def _look(self) -> None:
        before, self._content = self._content, None
        try:
            self._content = _read(self._file)
            if self._content == before:
                return
            self.ring.replace(parse_jwks(self._content))
        except ValueError as error:
            self.error = f"TAYANG_USER_JWT_JWKS_FILE: {self._file} {error}"
        else:
            self.loads += 1
            self.error = ""


def _read(file: Path) -> bytes:
    """Raises ValueError."""
    try:
        # Without O_NONBLOCK a pipe would be waited for until somebody writes to it.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("is no regular file")
            content = stream.read(JWKS_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from error
    if len(content) > JWKS_MAX_BYTES:
        raise ValueError(f"has more than {JWKS_MAX_BYTES} bytes")
    return content
