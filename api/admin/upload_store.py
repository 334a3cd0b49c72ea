"""Resumable audience uploads in the primary's tables, where every process finds them."""

from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from api.admin.audience_lines import AudienceLines
from api.admin.audience_load import (
    AudienceResult,
    Mode,
    apply_staged,
    check_lines,
    leave_out_erased,
    staging,
)
from api.admin.database import Connection, cut_after
from api.admin.store import CampaignRef, Row, find_campaign, load_sql
from api.admin.versions import Expected, version_conflict
from api.errors import (
    COMPLETED_UPLOAD,
    INCONSISTENT_UPLOAD_LENGTH,
    LIMIT_REACHED,
    MISMATCHING_UPLOAD_OFFSET,
    NOT_FOUND,
    ProblemError,
)

_LOCK: Final = load_sql("upload_lock")
_INSERT: Final = load_sql("upload_insert")
_FIND: Final = load_sql("upload_find")
_HOLD: Final = load_sql("upload_hold")
_LIST: Final = load_sql("upload_list")
_APPEND: Final = load_sql("upload_append")
_STAGE: Final = load_sql("upload_stage")
_FINISH: Final = load_sql("upload_finish")
_DELETE: Final = load_sql("upload_delete")


async def create_upload(
    connection: Connection,
    campaign_id: int,
    mode: Mode,
    file_bytes: int | None,
    *,
    kept_seconds: float,
    max_open: int,
) -> Row:
    """Raises ProblemError LIMIT_REACHED."""
    async with connection.transaction():
        await connection.execute(_LOCK)
        row = await connection.fetchrow(
            _INSERT, campaign_id, mode, file_bytes, AudienceLines().state(), kept_seconds, max_open
        )
    if row is None:
        raise ProblemError(
            LIMIT_REACHED,
            f"{max_open} audience uploads are open: complete or DELETE one, or raise "
            "TAYANG_AUDIENCE_OPEN_MAX_UPLOADS",
        )
    return dict(row)


async def list_uploads(connection: Connection, campaign_id: int) -> list[Row]:
    """Those that are open, the oldest first."""
    return [dict(row) for row in await connection.fetch(_LIST, campaign_id)]


async def find_upload(connection: Connection, campaign_id: int, upload_id: UUID) -> Row:
    """Raises ProblemError NOT_FOUND, also for one that has expired."""
    return _found(await connection.fetchrow(_FIND, upload_id, campaign_id))


async def delete_upload(connection: Connection, campaign_id: int, upload_id: UUID) -> None:
    """Raises ProblemError NOT_FOUND."""
    if await connection.execute(_DELETE, upload_id, campaign_id) == "DELETE 0":
        raise no_upload()


async def append(
    connection: Connection, row: Row, received_bytes: int, ids: str, *, kept_seconds: float
) -> Row:
    """`row` as it was, but with `crc32` and `reader` of the `received_bytes`; returns the new row.

    Raises ProblemError when somebody else has gone on with the upload, or it is gone.
    """
    changed = await connection.fetchrow(
        _APPEND,
        row["id"],
        row["received_bytes"],
        received_bytes,
        row["crc32"],
        row["reader"],
        ids,
        kept_seconds,
    )
    if changed is None:
        current = await find_upload(connection, row["campaign_id"], row["id"])
        check_open(current)
        raise wrong_offset(current["received_bytes"], row["received_bytes"])
    return dict(changed)


async def apply_upload(
    connection: Connection,
    row: Row,
    key: str,
    expected: Expected | None,
    *,
    stage_seconds: float,
    apply_seconds: float,
    rows_per_second: float,
) -> dict[str, Any]:
    """The members of an AudienceResult; those of the first time, if it is applied already.

    Raises ProblemError, and AudienceInvalidError, after which the upload is as it was.
    """
    async with staging(connection, stage_seconds):
        with cut_after(connection, apply_seconds):
            async with connection.transaction():
                result = await _apply(connection, row, key, expected, rows_per_second)
            await leave_out_erased(connection, row["campaign_id"], row["created_at"])
            return result


async def _apply(
    connection: Connection, row: Row, key: str, expected: Expected | None, rows_per_second: float
) -> dict[str, Any]:
    held = _found(await connection.fetchrow(_HOLD, row["id"], row["campaign_id"]))
    if held["result"] is not None:
        return dict(held["result"])
    campaign = await find_campaign(connection, CampaignRef(id=row["campaign_id"]))
    if expected is not None and not expected.allows(campaign["version"]):
        raise version_conflict(campaign["version"])
    if held["file_bytes"] not in (None, held["received_bytes"]):
        raise ProblemError(
            INCONSISTENT_UPLOAD_LENGTH,
            f"{held['received_bytes']} of {held['file_bytes']} bytes are here: send the rest first",
            received_bytes=held["received_bytes"],
            file_bytes=held["file_bytes"],
        )
    lines = AudienceLines.resumed(held["reader"])
    last = lines.close()
    check_lines(lines, held["mode"])
    await connection.execute(_STAGE, held["id"], last.decode())
    unique, added, removed, members = await apply_staged(
        connection, held["campaign_id"], held["mode"], held["created_at"], rows_per_second=rows_per_second
    )
    result = AudienceResult(key, held["mode"], lines.lines, members, added, removed, lines.lines - unique)
    await connection.execute(_FINISH, held["id"], asdict(result))
    return asdict(result)


def check_open(row: Row) -> None:
    """Raises ProblemError COMPLETED_UPLOAD."""
    if row["result"] is not None:
        raise ProblemError(COMPLETED_UPLOAD, "it takes no more parts: create another upload")


def wrong_offset(expected: int, provided: int) -> ProblemError:
    return ProblemError(
        MISMATCHING_UPLOAD_OFFSET,
        f"{expected} bytes are here: go on at that offset",
        headers={"Upload-Offset": str(expected)},
        expected_offset=expected,
        provided_offset=provided,
    )


def no_upload() -> ProblemError:
    return ProblemError(NOT_FOUND, "this campaign has no such upload, or it has expired: create one")


def _found(row: Any) -> Row:
    if row is None:
        raise no_upload()
    return dict(row)
