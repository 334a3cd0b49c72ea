"""The API keys that hold, in this process's memory: looked for on the primary several times a second.

So a key is checked without a query, and one that is revoked is refused everywhere within a second.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from aiohttp import web
from pydantic_core import from_json

from api import errors
from api.access.secret import digest
from api.access.table import Scope
from api.background import signalled
from api.errors import busy
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.access")

#: Between two looks at least: keys made up by the thousand must not become queries by the thousand.
_PAUSE_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 2.0
_KEYS: Final = (Path(__file__).parent / "sql" / "keys.sql").read_text()


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """`until` in seconds since the Unix epoch."""

    id: str
    scopes: frozenset[Scope]
    until: float = inf


#: A statement and its arguments → its rows, from the primary. Raises ConnectionFailedError.
Fetch = Callable[..., Awaitable[Sequence[Any]]]


class KeyRing:
    """`admin_key` is the one of the settings: it needs no database. `run()` is one task."""

    def __init__(
        self,
        admin_key: str,
        fetch: Fetch,
        *,
        poll_seconds: float,
        max_age_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admin_key = admin_key.encode()
        self._fetch = fetch
        self._poll_seconds = poll_seconds
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._known: dict[bytes, ServiceKey] = {}
        self._stamp: UUID | None = None
        self._read_at = -inf
        self._wake = asyncio.Event()
        self._begun = 0
        self._ended = 0
        self._looked = asyncio.Condition()

    async def find(self, text: str) -> ServiceKey | None:
        """The key with this text, if it holds. Raises ProblemError (503) when that can't be told."""
        if self._admin_key and hmac.compare_digest(text.encode(errors="surrogateescape"), self._admin_key):
            return ServiceKey("bootstrap", frozenset({"admin"}))
        hashed = digest(text)
        if hashed is None:
            return None
        # A secret can't be found out by the time of this look-up: it compares hashes, which nobody can steer.
        key = self._known.get(hashed)
        if key is None:  # it may be a moment old
            await self._look()
            key = self._known.get(hashed)
        if self._clock() - self._read_at > self._max_age_seconds:
            raise busy(errors.UNAVAILABLE, "The API keys can't be checked now: the primary doesn't answer.")
        return key if key is not None and time.time() < key.until else None

    async def run(self) -> None:
        """Look at the stamp, until cancelled."""
        while True:
            self._wake.clear()
            self._begun += 1
            try:
                self._take(await self._fetch(_KEYS, self._stamp))
            except ConnectionFailedError as error:
                log.debug("the API keys can't be read: %s", error)
            async with self._looked:
                self._ended = self._begun
                self._looked.notify_all()
            await asyncio.sleep(_PAUSE_SECONDS)
            await signalled(self._wake, self._poll_seconds)

    def _take(self, rows: Sequence[Any]) -> None:
        stamp, keys = rows[0]["stamp"], rows[0]["keys"]
        if keys is not None:
            self._known = {
                bytes.fromhex(each["hash"]): ServiceKey(
                    each["id"], frozenset(each["scopes"]), inf if each["until"] is None else each["until"]
                )
                for each in from_json(keys)
            }
            self._stamp = stamp
        self._read_at = self._clock()

    async def _look(self) -> None:
        """Return after a look that began after this call."""
        begun = self._begun
        self._wake.set()
        try:
            async with asyncio.timeout(_LOOK_SECONDS), self._looked:
                await self._looked.wait_for(lambda: self._ended > begun)
        except TimeoutError:
            raise busy(errors.UNAVAILABLE, "The API key can't be checked now. Try again.") from None


KEYS: Final = web.AppKey("access_keys", KeyRing)
