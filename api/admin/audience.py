"""Handlers of /v1/admin/campaigns/{id}/audience."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final, cast

from aiohttp import web

from api.admin.audience_load import (
    MODES,
    AudienceInvalidError,
    AudienceResult,
    Mode,
    count_members,
    load_audience,
)
from api.admin.body import body_chunks, choice_parameter, require_media_type
from api.admin.database import primary
from api.admin.store import CampaignRef, find_campaign
from api.errors import (
    AUDIENCE_INVALID,
    BAD_PARAMETER,
    REQUEST_TIMEOUT,
    UPLOADS_BUSY,
    ProblemError,
    busy,
)
from api.keys import CONFIG

#: Each holds one of the pool's connections for as long as its client sends.
MAX_UPLOADS: Final = 2
RETRY_AFTER_SECONDS: Final = 10


class UploadPlaces:
    """What all ways of uploading to one api process share: so many requests under way, and no more."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises ProblemError UPLOADS_BUSY."""
        if self._taken >= MAX_UPLOADS:
            raise busy(
                UPLOADS_BUSY,
                f"{MAX_UPLOADS} uploads are under way here: try again when one has ended",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class AudienceUploads:
    """The audience as a whole: its size, and an upload in one request."""

    def __init__(self, places: UploadPlaces) -> None:
        self._places = places

    async def size(self, request: web.Request) -> web.Response:
        """{"members": n}"""
        ref = CampaignRef.parse(request.match_info["id"])
        async with primary(request) as connection:
            campaign = await find_campaign(connection, ref)
            return web.json_response({"members": await count_members(connection, campaign["id"])})

    async def put(self, request: web.Request) -> web.Response:
        """A text/csv of user ids, `?mode=replace|add|remove` → AudienceResult; 422 names the bad lines."""
        ref, mode = CampaignRef.parse(request.match_info["id"]), mode_of(request)
        require_media_type(request, "text/csv")
        with self._places.one():
            return web.json_response(asdict(await _load(request, ref, mode)))


async def _load(request: web.Request, ref: CampaignRef, mode: Mode) -> AudienceResult:
    config = request.app[CONFIG]
    chunks = body_chunks(request, max_bytes=config.audience_max_bytes)
    try:
        async with (
            asyncio.timeout(config.audience_max_seconds),
            # A little longer: the timeout has the better message.
            primary(
                request, seconds=config.audience_max_seconds + config.database_timeout_seconds
            ) as connection,
        ):
            campaign = await find_campaign(connection, ref)
            return await load_audience(
                connection,
                (campaign["id"], campaign["key"]),
                mode,
                chunks,
                copy_seconds=config.database_timeout_seconds,
                apply_seconds=config.audience_max_seconds,
                rows_per_second=config.audience_apply_max_rows_per_second,
            )
    except TimeoutError:
        raise ProblemError(
            REQUEST_TIMEOUT,
            f"the upload took over {config.audience_max_seconds:g} seconds: "
            "send it in parts with mode=add, or use tayang import-audience",
        ) from None
    except AudienceInvalidError as error:
        raise invalid_lines(error) from None


def invalid_lines(error: AudienceInvalidError) -> ProblemError:
    problems = [asdict(problem) for problem in error.problems]
    return ProblemError(AUDIENCE_INVALID, error.detail, errors=problems, bad_lines=error.bad_lines)


def mode_of(request: web.Request) -> Mode:
    """`?mode=`, and no other parameter. Raises ProblemError BAD_PARAMETER."""
    # A slip such as ?mdoe=add must not replace an audience.
    unknown = request.query.keys() - {"mode"}
    if unknown:
        raise ProblemError(
            BAD_PARAMETER, f"unknown parameter {min(unknown)[:100]!r}: use mode", parameter=min(unknown)[:100]
        )
    return cast("Mode", choice_parameter(request, "mode", "replace", MODES))
