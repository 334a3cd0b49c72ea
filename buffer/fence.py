"""What this process has seen of primaries, so that it never writes to one that another has replaced.

A promotion begins a new timeline, with a higher number. An old primary that comes back, because nobody
kept it from that, still takes writes on its old timeline, and nobody would ever read them.
"""

import logging
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import asyncpg

from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.primary")

_STANDING: Final = (Path(__file__).parent / "sql" / "standing.sql").read_text()


class Standing(NamedTuple):
    """What a server says of itself; `timeline` is None for a standby."""

    system: int
    timeline: int | None


async def standing_of(connection: asyncpg.Connection) -> Standing:
    row = await connection.fetchrow(_STANDING)
    assert row is not None
    timeline = row["timeline"]
    return Standing(row["system_identifier"], None if timeline is None else int(timeline, 16))


class Fence:
    """One for each process. It knows what the process has seen, so it is no substitute for a real one."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}  # by system identifier
        self._open: WeakKeyDictionary[asyncpg.Connection, Standing] = WeakKeyDictionary()
        self._refused: set[str] = set()

    @property
    def has_seen_a_primary(self) -> bool:
        return bool(self._newest)

    def admit(self, connection: asyncpg.Connection, standing: Standing, host: str) -> None:
        """Raises ConnectionFailedError for a primary that was replaced. A standby may pass.

        A newer primary than any before cuts the connections to older ones.
        """
        system, timeline = standing
        if timeline is None:
            return
        newest = self._newest.get(system, timeline)
        if timeline < newest:
            self._refuse(host, timeline, newest)
        if timeline > newest:
            log.warning("%s is the primary now, on timeline %d after %d", host, timeline, newest)
            self._cut_older(standing)
        self._newest[system] = timeline
        self._open[connection] = standing
        self._refused.discard(host)

    def _refuse(self, host: str, timeline: int, newest: int) -> None:
        if host not in self._refused:
            self._refused.add(host)
            log.critical(
                "%s takes writes on timeline %d, but the primary is on %d: stop that server, it was replaced",
                host,
                timeline,
                newest,
            )
        raise ConnectionFailedError(f"a primary that was replaced (timeline {timeline}, now {newest})")

    def _cut_older(self, newest: Standing) -> None:
        for connection, standing in list(self._open.items()):
            if standing.system == newest.system and standing != newest:
                connection.terminate()
                del self._open[connection]
