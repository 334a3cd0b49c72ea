"""The statements of the read path, and their answers in the form in which the engine takes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import Any, Final

from asyncpg import Record
from pydantic import TypeAdapter

from api.campaigns.history import History, Seen
from api.campaigns.model import Campaign
from buffer.contract import RECENT_MAX_TIMES
from buffer.record import POSTGRES_EPOCH_US

_SQL: Final = Path(__file__).parent / "sql"
SNAPSHOT: Final = (_SQL / "snapshot.sql").read_text()
CATALOG: Final = (_SQL / "catalog.sql").read_text()
PRIMARY_POSITION: Final = (_SQL / "primary_position.sql").read_text()

_CAMPAIGNS: Final = TypeAdapter(list[Campaign])

# array_send: dimensions, has-null flag, element type, then length and lower bound of the only dimension.
_COUNT = Struct("!iqi")
_ARRAY_REST: Final = 16
_LENGTH = Struct("!i")
_LENGTH_AT: Final = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the database, as one server showed it."""

    server: str
    version: int  # of the catalog
    tick: int
    merged_at: datetime
    active_buffer: int
    watermark: int  # of this instance: its events up to here are in the counts
    replayed: int | None  # log position; None on a primary
    rows: Sequence[Record]

    def history(self, index: int) -> History:
        """Of the index-th user asked for."""
        row = self.rows[index]
        counts = row["counts"]
        return History({} if counts is None else decode_counts(counts), row["listed"])


def snapshot_of(server: str, rows: Sequence[Record]) -> Snapshot:
    first = rows[0]
    return Snapshot(
        server,
        first["version"],
        first["tick"],
        first["merged_at"],
        first["active_buffer"],
        first["watermark"],
        first["replayed"],
        rows,
    )


def decode_counts(blob: bytes) -> dict[int, Seen]:
    """The `counts` column: what the user has seen, by campaign id."""
    seen = {}
    at = 0
    end = len(blob)
    while at < end:
        campaign_id, total, dimensions = _COUNT.unpack_from(blob, at)
        at += _COUNT.size
        recent_us: list[int] = []
        if dimensions:
            length = _LENGTH.unpack_from(blob, at + _LENGTH_AT)[0]
            times = _times(length)
            recent_us = [time + POSTGRES_EPOCH_US for time in times.unpack_from(blob, at + _ARRAY_REST)[1::2]]
            at += times.size
            at += _ARRAY_REST
        else:
            at += _LENGTH_AT  # an empty array ends after flag and element type
        seen[campaign_id] = Seen(total, recent_us)
    return seen


@lru_cache(maxsize=RECENT_MAX_TIMES + 1)
def _times(length: int) -> Struct:
    """Each element: its length in bytes, then microseconds since 2000-01-01."""
    return Struct("!" + "iq" * length)


def campaigns_of(documents: Sequence[Any]) -> list[Campaign]:
    """Stored campaigns, from `catalog.sql`."""
    return _CAMPAIGNS.validate_json(f"[{','.join(map(_text, documents))}]")


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)
