"""Loads an audience file into the database: all of it or nothing, memory flat whatever its size.

First every user id goes into a temporary table, in short COPYs: a client on a slow line must not hold a
transaction open, which would keep vacuum from the hot tables. Then one transaction applies the difference.
"""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final, Literal, cast

from api.admin.audience_lines import HEADER, AudienceLines, LineProblem
from api.admin.database import Connection, cut_after
from api.admin.store import load_sql
from buffer.contract import MERGE_LOCK

Mode = Literal["replace", "add", "remove"]
MODES: Final[tuple[Mode, ...]] = ("replace", "add", "remove")

#: 1 MiB, some 60,000 user ids: COPY costs a commit each, and this much fits in memory many times over.
COPY_BYTES: Final = 1024 * 1024
#: Some milliseconds of work, and less than a popup may wait.
SLICE_ROWS: Final = 500

_STAGE: Final = load_sql("audience_stage")
_UNSTAGE: Final = load_sql("audience_unstage")
_SETTINGS: Final = load_sql("audience_settings")
_LOCK: Final = load_sql("audience_lock")
_UNIQUE: Final = load_sql("audience_unique")
_AUDIT: Final = load_sql("audit_audience")
_COUNT: Final = load_sql("audience_count")
_CHANGES: Final = load_sql("audience_changes")
_CHANGES_DONE: Final = load_sql("audience_changes_done")
_FIND_NEW: Final = load_sql("audience_find_new")
_FIND_NAMED: Final = load_sql("audience_find_named")
_FIND_OTHERS: Final = load_sql("audience_find_others")
_ADD: Final = load_sql("audience_add")
_ERASED: Final = load_sql("audience_erased")
_TAKE_TURN: Final = load_sql("erasure_turn")
_REMOVE: Final = load_sql("audience_remove")


class AudienceInvalidError(ValueError):
    """The file has bad lines, or says nothing; nothing was changed."""

    def __init__(self, detail: str, problems: list[LineProblem], bad_lines: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = problems
        self.bad_lines = bad_lines


@dataclass(frozen=True)
class AudienceResult:
    campaign: str
    mode: Mode
    lines: int  # with a user id
    members: int  # in the whole audience, now
    added: int
    removed: int
    duplicates: int  # lines that repeat a user id of the file


async def load_audience(
    connection: Connection,
    campaign: tuple[int, str],
    mode: Mode,
    chunks: AsyncIterable[bytes],
    *,
    copy_seconds: float,
    apply_seconds: float,
    rows_per_second: float = 0.0,
) -> AudienceResult:
    """`campaign` is its id and key; `chunks` are the file, in pieces of any size.

    No more rows a second are written when it is applied; 0: as fast as it can be.

    Raises AudienceInvalidError, what `chunks` raises, and what asyncpg raises; a step that takes longer than
    its seconds cuts the connection.
    """
    campaign_id, key = campaign
    async with staging(connection, copy_seconds):
        begun_at = await connection.fetchval("SELECT clock_timestamp()")
        lines = await _copy(connection, chunks, copy_seconds)
        check_lines(lines, mode)
        with cut_after(connection, apply_seconds):
            unique, added, removed, members = await apply_staged(
                connection, campaign_id, mode, begun_at, rows_per_second=rows_per_second
            )
            await leave_out_erased(connection, campaign_id, begun_at)
    return AudienceResult(key, mode, lines.lines, members, added, removed, lines.lines - unique)


async def count_members(connection: Connection, campaign_id: int) -> int:
    return await _number(connection, _COUNT, campaign_id)


@asynccontextmanager
async def staging(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """With the temporary table of user ids. An upload that fails takes its session with it."""
    try:
        with cut_after(connection, seconds):
            await connection.execute(_STAGE)
        yield
        with cut_after(connection, seconds):
            await connection.execute(_UNSTAGE)
    except BaseException:
        connection.terminate()  # the table goes with its session, whatever state that is in
        raise


async def _copy(connection: Connection, chunks: AsyncIterable[bytes], seconds: float) -> AudienceLines:
    lines, waiting = AudienceLines(), bytearray()
    async for chunk in chunks:
        waiting += lines.feed(chunk)
        if lines.bad_lines:
            waiting.clear()  # it will be refused: only the rest of the bad lines matter
        if len(waiting) >= COPY_BYTES:
            await _copy_ids(connection, waiting, seconds)
            waiting = bytearray()
        # Whatever else this process serves goes on between two pieces, also when all are here already.
        await asyncio.sleep(0)
    waiting += lines.close()
    if waiting and not lines.bad_lines:
        await _copy_ids(connection, waiting, seconds)
    return lines


async def _copy_ids(connection: Connection, ids: bytearray, seconds: float) -> None:
    with cut_after(connection, seconds):
        # asyncpg takes any buffer; its stubs do not say so.
        await connection.copy_to_table(
            "audience_upload", schema_name="pg_temp", source=cast("BinaryIO", memoryview(ids))
        )


def check_lines(lines: AudienceLines, mode: Mode) -> None:
    if lines.bad_lines:
        count = f"{lines.bad_lines} bad line{'s' if lines.bad_lines > 1 else ''}"
        raise AudienceInvalidError(
            f"{count}: correct them and send the whole file again; nothing was changed",
            lines.problems,
            lines.bad_lines,
        )
    # An empty file is more often a failed export than the wish to show the campaign to nobody.
    if mode == "replace" and not lines.lines and not lines.has_header:
        raise AudienceInvalidError(
            f"the file is empty: to empty the audience, send a file with the header line {HEADER} alone",
            [],
            0,
        )


async def apply_staged(
    connection: Connection, campaign_id: int, mode: Mode, begun_at: datetime, *, rows_per_second: float
) -> tuple[int, int, int, int]:
    """What `staging` holds: its distinct users, members added and removed, members now.

    After the commit, `leave_out_erased` is to follow.
    """
    added = removed = 0
    async with connection.transaction():
        await connection.execute(_SETTINGS)
        # A fresh temporary table has no statistics, and a plan for ten rows takes hours for a million.
        await connection.execute("ANALYZE pg_temp.audience_upload")
        unique = await _number(connection, _UNIQUE)
        await connection.execute(_LOCK, campaign_id)
        await connection.execute(_CHANGES)
        if mode == "remove":
            removed = await _change(connection, _FIND_NAMED, _REMOVE, campaign_id, rows_per_second)
        if mode == "replace":
            removed = await _change(connection, _FIND_OTHERS, _REMOVE, campaign_id, rows_per_second)
        if mode != "remove":
            added = await _change(connection, _FIND_NEW, _ADD, campaign_id, rows_per_second)
            await connection.execute(_ERASED, campaign_id, begun_at)
        members = await count_members(connection, campaign_id)
        before = json.dumps({"members": members - added + removed})
        after = json.dumps({"members": members, "added": added, "removed": removed})
        await connection.execute(_AUDIT, campaign_id, mode, before, after)
        return unique, added, removed, members


async def _change(
    connection: Connection, find: str, do: str, campaign_id: int, rows_per_second: float
) -> int:
    """Find whom, then do it in slices with pauses: at full speed, popups would wait for a core.

    Returns how many it was done to.
    """
    found = _affected(await connection.execute(find, campaign_id))
    await connection.execute("ANALYZE pg_temp.audience_change")
    clock = asyncio.get_running_loop().time
    begun, done = clock(), 0
    for place in range(0, found, SLICE_ROWS):
        done += _affected(await connection.execute(do, campaign_id, place, place + SLICE_ROWS))
        if rows_per_second:
            await asyncio.sleep(begun + place / rows_per_second - clock())
    await connection.execute(_CHANGES_DONE)
    return done


async def leave_out_erased(connection: Connection, campaign_id: int, begun_at: datetime) -> None:
    """Once more, for an erasure that was under way when the upload was committed, and saw nothing of it.

    The merge's turn is an erasure's turn (`api.admin.erasures`): who begins later sees the members.
    """
    async with connection.transaction():
        # Else the turn might be held while another upload is applied.
        await connection.execute(_LOCK, campaign_id)
        await connection.execute(_TAKE_TURN, MERGE_LOCK)
        await connection.execute(_ERASED, campaign_id, begun_at)


def _affected(status: str) -> int:
    """The last word of "INSERT 0 17" or "DELETE 17"."""
    return int(status.rpartition(" ")[2])


async def _number(connection: Connection, statement: str, *arguments: Any) -> int:
    return int(await connection.fetchval(statement, *arguments))
