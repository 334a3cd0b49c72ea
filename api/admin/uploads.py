"""Handlers of /v1/admin/campaigns/{id}/audience/uploads: a large file in parts, which any process may take.

Header names are those of the IETF's draft of resumable uploads (draft-ietf-httpbis-resumable-upload).
"""

import asyncio
import zlib
from collections.abc import AsyncIterable
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from api.admin.audience import UploadPlaces, invalid_lines, mode_of
from api.admin.audience_lines import AudienceLines
from api.admin.audience_load import COPY_BYTES, AudienceInvalidError
from api.admin.body import body_chunks, require_media_type
from api.admin.database import Connection, primary
from api.admin.documents import answer, plain
from api.admin.store import CampaignRef, Row, find_campaign
from api.admin.upload_store import (
    append,
    apply_upload,
    check_open,
    create_upload,
    delete_upload,
    find_upload,
    list_uploads,
    no_upload,
    wrong_offset,
)
from api.admin.versions import expected_version
from api.errors import BAD_REQUEST, REQUEST_TIMEOUT, UNSUPPORTED_ENCODING, ProblemError
from api.http.encoding import too_large
from api.keys import CONFIG

PARTIAL_UPLOAD: Final = "application/partial-upload"
_MAX_DIGITS: Final = 18


class ResumableUploads:
    """The endpoints, which share one process's places for uploads with the upload in one request."""

    def __init__(self, places: UploadPlaces) -> None:
        self._places = places

    async def create(self, request: web.Request) -> web.Response:
        """`?mode=replace|add|remove`, `Upload-Length` if it is known → 201 with Location."""
        config, mode = request.app[CONFIG], mode_of(request)
        file_bytes = _number(request, "Upload-Length")
        if file_bytes is not None and file_bytes > config.audience_max_bytes:
            raise too_large(config.audience_max_bytes)
        async with primary(request) as connection:
            campaign = await find_campaign(connection, CampaignRef.parse(request.match_info["id"]))
            row = await create_upload(
                connection,
                campaign["id"],
                mode,
                file_bytes,
                kept_seconds=config.audience_upload_kept_seconds,
                max_open=config.audience_open_max_uploads,
            )
        location = f"{request.path.rstrip('/')}/{row['id']}"
        return _answer(request, row, campaign["key"], status=201, headers={"Location": location})

    async def list(self, request: web.Request) -> web.Response:
        """{"uploads": […]}: those of the campaign that are open, at most `audience_open_max_uploads`."""
        async with primary(request) as connection:
            campaign = await find_campaign(connection, CampaignRef.parse(request.match_info["id"]))
            rows = await list_uploads(connection, campaign["id"])
        return answer({"uploads": [_document(row, campaign["key"]) for row in rows]})

    async def get(self, request: web.Request) -> web.Response:
        """How far it is; HEAD has the offset in its headers."""
        async with primary(request) as connection:
            key, row = await _named(request, connection)
        return _answer(request, row, key)

    async def append(self, request: web.Request) -> web.Response:
        """The file from `Upload-Offset` on, as far as it comes; 409 tells the right offset.

        What came before a connection broke is kept, a line that was cut included.
        """
        offset = _number(request, "Upload-Offset")
        if offset is None:
            raise ProblemError(
                BAD_REQUEST, "send Upload-Offset: how many bytes of the file come before this part"
            )
        require_media_type(request, PARTIAL_UPLOAD, "text/csv")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise ProblemError(
                UNSUPPORTED_ENCODING, "send parts without Content-Encoding: offsets count the file's bytes"
            )
        with self._places.one():
            async with primary(request) as connection:
                key, row = await _named(request, connection)
            check_open(row)
            if offset != row["received_bytes"]:
                raise wrong_offset(row["received_bytes"], offset)
            return _answer(request, await _receive(request, row), key)

    async def delete(self, request: web.Request) -> web.Response:
        """204. Gives it up; what was applied stays applied."""
        async with primary(request) as connection:
            campaign = await find_campaign(connection, CampaignRef.parse(request.match_info["id"]))
            await delete_upload(connection, campaign["id"], _upload_id(request))
        return web.Response(status=204)

    async def complete(self, request: web.Request) -> web.Response:
        """Applies it, whole or not at all → AudienceResult; sent again, the same answer.

        With If-Match only if the campaign is at that version. Raises ProblemError 422 for bad lines.
        """
        config, expected = request.app[CONFIG], expected_version(request)
        seconds = config.audience_max_seconds
        with self._places.one():
            async with primary(request, seconds=seconds + config.database_timeout_seconds) as connection:
                key, row = await _named(request, connection)
                if row["result"] is not None:
                    return answer(row["result"])
                try:
                    result = await apply_upload(
                        connection,
                        row,
                        key,
                        expected,
                        stage_seconds=config.database_timeout_seconds,
                        apply_seconds=seconds,
                        rows_per_second=config.audience_apply_max_rows_per_second,
                    )
                except AudienceInvalidError as error:
                    raise invalid_lines(error) from None
        return answer(result)


async def _receive(request: web.Request, row: Row) -> Row:
    config = request.app[CONFIG]
    whole = config.audience_max_bytes if row["file_bytes"] is None else row["file_bytes"]
    receiver = _Receiver(request, row)
    try:
        async with asyncio.timeout(config.audience_max_seconds):
            await receiver.receive(body_chunks(request, max_bytes=whole - row["received_bytes"]))
    except TimeoutError:
        raise ProblemError(
            REQUEST_TIMEOUT,
            f"the part took over {config.audience_max_seconds:g} seconds: send smaller ones",
        ) from None
    return receiver.row


class _Receiver:
    """Reads a part and keeps it, a piece at a time; holds a connection only while it writes one."""

    def __init__(self, request: web.Request, row: Row) -> None:
        self.row = row
        self._request = request
        self._lines = AudienceLines.resumed(row["reader"])
        self._bytes = row["received_bytes"]
        self._crc32 = row["crc32"]
        self._ids = bytearray()

    async def receive(self, chunks: AsyncIterable[bytes]) -> None:
        """Raises what `chunks` raises, after what came before is kept."""
        try:
            async for chunk in chunks:
                self._ids += self._lines.feed(chunk)
                self._bytes += len(chunk)
                self._crc32 = zlib.crc32(chunk, self._crc32)
                if self._bytes - self.row["received_bytes"] >= COPY_BYTES:
                    await self._keep()
                # Whatever else this process serves goes on between two pieces, also when all are here.
                await asyncio.sleep(0)
        except ProblemError as error:
            if error.code in (
                BAD_REQUEST,
                REQUEST_TIMEOUT,
            ):  # the connection broke, or nothing comes any more
                await self._keep()
            raise
        await self._keep()

    async def _keep(self) -> None:
        if self._bytes == self.row["received_bytes"]:
            return
        # One with bad lines will be refused: only the rest of them matter.
        ids = "" if self._lines.bad_lines else self._ids.decode()
        self._ids = bytearray()
        row = {**self.row, "crc32": self._crc32, "reader": self._lines.state()}
        kept_seconds = self._request.app[CONFIG].audience_upload_kept_seconds
        async with primary(self._request) as connection:
            self.row = await append(connection, row, self._bytes, ids, kept_seconds=kept_seconds)


async def _named(request: web.Request, connection: Connection) -> tuple[str, Row]:
    """The campaign's key, and the upload."""
    campaign = await find_campaign(connection, CampaignRef.parse(request.match_info["id"]))
    return campaign["key"], await find_upload(connection, campaign["id"], _upload_id(request))


def _upload_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["upload"])
    except ValueError:
        raise no_upload() from None


def _number(request: web.Request, header: str) -> int | None:
    text = request.headers.get(header)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise ProblemError(BAD_REQUEST, f"{header} must be a whole number of bytes")


def _answer(
    request: web.Request, row: Row, key: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    told = {
        "Upload-Offset": str(row["received_bytes"]),
        "Upload-Complete": "?0" if row["result"] is None else "?1",
        "Upload-Limit": f"max-size={request.app[CONFIG].audience_max_bytes}",
        "Cache-Control": "no-store",
    }
    return answer(_document(row, key), status=status, headers=told | (headers or {}))


def _document(row: Row, key: str) -> dict[str, Any]:
    reader = row["reader"]
    return {
        "id": str(row["id"]),
        "campaign": key,
        "mode": row["mode"],
        "state": "open" if row["result"] is None else "applied",
        "offset": row["received_bytes"],
        "length": row["file_bytes"],
        "crc32": f"{row['crc32']:08x}",
        "lines": reader["lines"],
        "bad_lines": reader["bad_lines"],
        "errors": reader["problems"],
        "created_at": plain(row["created_at"]),
        "expires_at": plain(row["expires_at"]),
        "result": row["result"],
    }
