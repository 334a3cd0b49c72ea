"""`tayang audience upload`: a file in parts, which goes on where a lost connection left it."""

import asyncio
import os
import random
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote

import aiohttp
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from api.admin.audience_load import AudienceResult, Mode
from tayang.admin_client import BAD_INPUT, FAILED, AdminClient, Answer, ServiceError, unreachable
from tayang.import_audience import AudienceOutput

T = TypeVar("T")

#: One request. The service keeps it in smaller pieces; more would only make the bar stand still.
PART_BYTES: Final = 4 * 1024 * 1024
#: Failures one after the other, without a byte of progress: some two minutes of waiting.
MAX_FAILURES: Final = 10
_WAIT_SECONDS: Final = 0.5
_WAIT_MAX_SECONDS: Final = 30.0
_PASSING: Final = frozenset({408, 429, *range(500, 600)})
_READ_BYTES: Final = 1024 * 1024


class _LostError(Exception):
    """The answer didn't come, or says that it will later. Nobody knows what has arrived."""

    def __init__(self, reason: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class _RefusedError(Exception):
    """Sending it again would change nothing."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.detail)
        self.answer = answer


class Upload:
    """One file on its way. `mode` is that of a new upload; a `resume`d one has its own."""

    def __init__(
        self, client: AdminClient, campaign: str, file: Path, mode: Mode, resume: str | None = None
    ) -> None:
        self.id = resume
        self._client = client
        self._campaign = campaign
        self._file = file
        self._mode = mode
        self._uploads = f"/v1/admin/campaigns/{quote(campaign, safe='')}/audience/uploads"
        self._console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
        self._offset = 0
        self._unsure = resume is not None  # what the service has, has to be asked
        self._applied: dict[str, Any] | None = None

    async def run(self, output: AudienceOutput) -> int:
        """Exit code: 0 applied; 1 the service failed too often; 2 file or campaign are wrong.

        However it ends, but for good, it says how to go on.
        """
        try:
            with _opened(self._file) as stream:
                return await self._run(stream, output)
        except OSError as error:
            return output.failed(BAD_INPUT, "bad_file", f"{self._file}: {error.strerror or error}")
        except _RefusedError as error:
            members = {
                name: error.answer.document[name]
                for name in ("errors", "bad_lines")
                if name in error.answer.document
            }
            return output.failed(BAD_INPUT, error.answer.code or "refused", str(error), **members)
        except (asyncio.CancelledError, ServiceError):
            self._say_how_to_go_on()
            raise

    async def _run(self, stream: BinaryIO, output: AudienceOutput) -> int:
        size = os.fstat(stream.fileno()).st_size
        with self._progress() as progress:
            task = progress.add_task(f"sending {self._file.name}", total=size)
            told = await self._patiently(lambda: self._begin(stream, size))
            while self._applied is None and self._offset < size:
                progress.update(task, completed=self._offset)
                if told["bad_lines"]:
                    break
                told = await self._patiently(lambda: self._part(stream))
                if progress.disable:
                    self._console.print(f"{self._file.name}: {self._offset:,} of {size:,} bytes")
            progress.update(task, completed=self._offset, description=f"applying {self._file.name}")
            if told["bad_lines"]:
                return await self._give_up(told, output)
            result = await self._patiently(self._complete) if self._applied is None else self._applied
        output.done(AudienceResult(**result))
        return 0

    async def _begin(self, stream: BinaryIO, size: int) -> dict[str, Any]:
        if self.id is not None:
            return await self._look(stream, size)
        headers = {"Upload-Length": str(size)}
        document = await self._ask("POST", "", params={"mode": self._mode}, headers=headers)
        self.id = document["id"]
        return document

    async def _look(self, stream: BinaryIO, size: int) -> dict[str, Any]:
        """Raises ServiceError if the file isn't the one that the upload began with."""
        document = await self._ask("GET", f"/{self.id}")
        found = f"{await asyncio.to_thread(_crc32, stream, document['offset']):08x}"
        if document["length"] not in (None, size) or document["crc32"] != found:
            self.id = None  # going on with it would help nobody
            raise ServiceError(
                BAD_INPUT, f"{self._file} is not the file of this upload, or was changed: upload it anew"
            )
        self._offset, self._applied, self._unsure = document["offset"], document["result"], False
        return document

    async def _part(self, stream: BinaryIO) -> dict[str, Any]:
        if self._unsure:
            size = os.fstat(stream.fileno()).st_size
            return await self._look(stream, size)
        stream.seek(self._offset)
        data = await asyncio.to_thread(stream.read, PART_BYTES)
        headers = {"Content-Type": "application/partial-upload", "Upload-Offset": str(self._offset)}
        self._unsure = True
        document = await self._ask("PATCH", f"/{self.id}", data=data, headers=headers)
        self._offset, self._unsure = document["offset"], False
        return document

    async def _complete(self) -> dict[str, Any]:
        """Sent again after a lost answer, it gets the same one."""
        return await self._ask("POST", f"/{self.id}/complete")

    async def _give_up(self, told: dict[str, Any], output: AudienceOutput) -> int:
        """The rest need not be sent: such a file is never applied."""
        await self._patiently(lambda: self._ask("DELETE", f"/{self.id}"))
        detail = f"bad lines in the first {told['offset']:,} bytes: correct them; nothing was changed"
        members = {"errors": told["errors"], "bad_lines": told["bad_lines"]}
        return output.failed(BAD_INPUT, "audience_invalid", detail, **members)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = await self._client.send(method, self._uploads + path, **options)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _LostError(str(unreachable(self._client.base, error))) from error
        if answer.ok:
            return answer.document
        if answer.code == "mismatching_upload_offset":  # a part that was taken for lost was not
            raise _LostError(answer.detail)
        if answer.status in _PASSING:
            raise _LostError(answer.detail, after_seconds=_seconds(answer.headers.get("Retry-After", "")))
        raise _RefusedError(answer)

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Raises ServiceError after MAX_FAILURES without a byte of progress between them."""
        failures, offset = 0, self._offset
        while True:
            try:
                return await step()
            except _LostError as error:
                failures = failures + 1 if offset == self._offset else 1
                offset = self._offset
                if failures >= MAX_FAILURES:
                    raise ServiceError(FAILED, f"{error}; given up after {failures} times") from error
                seconds = min(
                    _WAIT_MAX_SECONDS, max(_WAIT_SECONDS * 2 ** (failures - 1), error.after_seconds)
                )
                seconds *= random.uniform(0.5, 1.0)  # noqa: S311  (so that all do not come back at once)
                self._console.print(f"{error}; trying again in {seconds:.1f} s")
                await asyncio.sleep(seconds)

    def _say_how_to_go_on(self) -> None:
        if self.id is not None:
            self._console.print(
                f"go on with: tayang audience upload {self._campaign} {self._file} --resume {self.id}"
            )

    def _progress(self) -> Progress:
        bar = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        columns = (TextColumn("{task.description}"), *bar)
        return Progress(*columns, console=self._console, disable=not self._console.is_terminal)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """Raises OSError, also for what isn't a file that can be read again."""
    with file.open("rb") as stream:
        if not stream.seekable():
            raise OSError("this is no file to go back in: use tayang import-audience")
        yield stream


def _crc32(stream: BinaryIO, size: int) -> int:
    """Of the first bytes."""
    stream.seek(0)
    crc, left = 0, size
    while left and (data := stream.read(min(left, _READ_BYTES))):
        crc, left = zlib.crc32(data, crc), left - len(data)
    return crc


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
