"""`tayang import-audience`: an audience file straight into the primary, with a progress bar."""

import asyncio
import getpass
import json
import os
from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from api.admin.audience_load import AudienceInvalidError, AudienceResult, Mode, load_audience
from api.admin.store import CampaignRef, find_campaign
from api.errors import ProblemError
from buffer.connection import DATABASE_ERRORS
from buffer.primary import Primary

OK: Final = 0
DATABASE_FAILED: Final = 1
BAD_INPUT: Final = 2

CONNECT_SECONDS: Final = 10.0
STAGGER_SECONDS: Final = 0.25
COPY_SECONDS: Final = 60.0
APPLY_SECONDS: Final = 3600.0
READ_BYTES: Final = 64 * 1024


async def import_audience(
    dsn: str, file: Path, campaign_key: str, mode: Mode, *, rows_per_second: float, as_json: bool
) -> int:
    """Exit code: 0 done; 1 the database failed; 2 the file or the campaign is wrong. All or nothing.

    The result goes to standard output, one JSON object with `as_json`; progress and errors to standard error.
    """
    output = AudienceOutput(as_json=as_json)
    try:
        with _opened(file) as stream:
            result = await _load(dsn, stream, file, campaign_key, mode, rows_per_second=rows_per_second)
    except _FileError as error:
        return output.failed(BAD_INPUT, "bad_file", str(error))
    except AudienceInvalidError as error:
        problems = [asdict(problem) for problem in error.problems]
        return output.failed(
            BAD_INPUT, "audience_invalid", error.detail, errors=problems, bad_lines=error.bad_lines
        )
    except ProblemError:
        detail = f"no campaign has the key {campaign_key!r}: check it, or create the campaign first"
        return output.failed(BAD_INPUT, "not_found", detail)
    except DATABASE_ERRORS as error:
        return output.failed(DATABASE_FAILED, "unavailable", _database_detail(error))
    output.done(result)
    return OK


async def _load(
    dsn: str, stream: BinaryIO, file: Path, campaign_key: str, mode: Mode, *, rows_per_second: float
) -> AudienceResult:
    primary = Primary(dsn, timeout_seconds=CONNECT_SECONDS, stagger_seconds=STAGGER_SECONDS)
    connection = await primary.connect()
    try:
        await connection.execute("SELECT set_config('tayang.actor', $1, false)", f"cli:{getpass.getuser()}")
        campaign = await find_campaign(connection, CampaignRef.parse(campaign_key))
        with _progress() as progress:
            return await load_audience(
                connection,
                (campaign["id"], campaign["key"]),
                mode,
                _chunks(stream, file, progress),
                copy_seconds=COPY_SECONDS,
                apply_seconds=APPLY_SECONDS,
                rows_per_second=rows_per_second,
            )
    finally:
        connection.terminate()  # nothing is left to say, and a hung server would not answer


async def _chunks(stream: BinaryIO, file: Path, progress: Progress) -> AsyncIterator[bytes]:
    size = os.fstat(stream.fileno()).st_size or None  # none: a pipe
    task = progress.add_task(f"reading {file.name}", total=size)
    while True:
        try:
            chunk = await asyncio.to_thread(stream.read, READ_BYTES)
        except OSError as error:
            raise _FileError(f"{file}: {error.strerror}") from error
        if not chunk:
            break
        progress.advance(task, len(chunk))
        yield chunk
    progress.update(task, description=f"applying {file.name}")
    if progress.disable:
        progress.console.print(f"{file.name} is read")


class _FileError(Exception):
    """The file can't be read."""


@contextmanager
def _opened(file: Path) -> Any:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise _FileError(f"{file}: {error.strerror}") from error
    with stream:
        yield stream


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


class AudienceOutput:
    """The result on standard output, one JSON object with `as_json`; what is wrong on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = Console(soft_wrap=True, markup=False, highlight=False)
        self._err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

    def done(self, result: AudienceResult) -> None:
        if self._as_json:
            self._out.print(json.dumps(asdict(result)))
            return
        self._out.print(
            f"{result.campaign}: {result.lines:,} lines ({result.duplicates:,} duplicates), "
            f"{result.added:,} added, {result.removed:,} removed, {result.members:,} members now"
        )

    def failed(self, exit_code: int, code: str, detail: str, **members: Any) -> int:
        if self._as_json:
            self._out.print(json.dumps({"code": code, "detail": detail, **members}))
            return exit_code
        self._err.print(f"error: {detail}")
        for problem in members.get("errors", []):
            self._err.print(f"  line {problem['line']} {problem['detail']}")
        if len(members.get("errors", [])) < members.get("bad_lines", 0):
            self._err.print(f"  … the first {len(members['errors'])} of {members['bad_lines']:,}")
        return exit_code


def _database_detail(error: Exception) -> str:
    detail = f"the primary database failed: {error or type(error).__name__}"
    if isinstance(error, asyncpg.UndefinedTableError):
        return f"{detail}: run 'tayang migrate' first"
    return f"{detail}; nothing was changed unless all of it was: it is safe to run again"
