"""What an explanation reads beside the user's view, from a server that popups are read from."""

import logging
from pathlib import Path
from typing import Final, NamedTuple

from asyncpg import Record

from api import errors
from api.campaigns.catalog import Catalog
from api.errors import ProblemError, busy
from api.read.reader import Reader
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.explain")

_SQL: Final = Path(__file__).parent / "sql"
#: Those that are not live, for there is no bound to what was archived over the years.
_OTHERS_MAX: Final = 1_000
_ID_DIGITS: Final = 9  # an integer has more, but so many campaigns there are not


def statement(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text()


_NOT_LIVE: Final = statement("not_live")
_FIND: Final = statement("find")


async def fetch(reader: Reader, text: str, *arguments: object) -> list[Record]:
    """From the first server in use that answers. Raises ProblemError (503) if none does."""
    for server in reader.servers_in_use():
        try:
            return await server.fetch(text, *arguments)
        except ConnectionFailedError as error:
            log.warning("%s: %s", server.name, error)
    raise busy(errors.UNAVAILABLE, "Neither the replica nor the primary answers. Try again.")


class Other(NamedTuple):
    """A campaign that is not live, as far as it is told of."""

    id: int
    key: str
    status: str
    placement: str
    priority: int


class Others:
    """The campaigns that are not live. Read again when the catalog has another version."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._version = -1
        self._newest: list[Other] = []

    async def newest(self, catalog: Catalog) -> list[Other]:
        """At most 1,000, the newest first. Raises ProblemError (503)."""
        if catalog.version != self._version:
            rows = await fetch(self._reader, _NOT_LIVE, _OTHERS_MAX)
            self._newest = [Other(**dict(row)) for row in rows]
            self._version = catalog.version
        return [other for other in self._newest if other.id not in catalog.campaigns]

    async def find(self, name: str) -> Other:
        """By id (digits) or key. Raises ProblemError: 404 if there is none, 503."""
        digits = name.isascii() and name.isdecimal()
        campaign_id = int(name) if digits and len(name) <= _ID_DIGITS else None
        rows = await fetch(self._reader, _FIND, campaign_id, None if digits else name)
        if not rows:
            raise ProblemError(
                errors.NOT_FOUND,
                "campaign: no campaign has this id or key: GET /v1/admin/campaigns lists them",
                parameter="campaign",
            )
        return Other(**dict(rows[0]))
