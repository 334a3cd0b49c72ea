"""`POST /v1/impressions` and `/v1/interactions`, as aiohttp asks for them; `Submission` does the work."""

import asyncio
import time
from typing import Final

from aiohttp import web

from api import errors
from api.access.identity import USER
from api.config import ApiConfig
from api.errors import ProblemError
from api.http.delivery import DELIVERY
from api.http.encoding import inflated, is_gzip, too_large
from api.http.submission import IMPRESSIONS, INTERACTIONS, Sort, Submission, in_time

STATUS: Final = 202
HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def post_impressions(request: web.Request) -> web.Response:
    return await _post(request, IMPRESSIONS)


async def post_interactions(request: web.Request) -> web.Response:
    return await _post(request, INTERACTIONS)


async def _post(request: web.Request, sort: Sort) -> web.Response:
    delivery = request.app[DELIVERY]
    now_us = time.time_ns() // 1000
    body = await _body(request, delivery.config)
    answer = await stored(Submission(delivery, request[USER], body, sort, now_us=now_us))
    return web.Response(body=answer, status=STATUS, headers=HEADERS)


async def stored(submission: Submission) -> bytes:
    """The answer's JSON, once the events are committed. Raises ProblemError."""
    await submission.spend_units()
    seq = submission.store()
    if seq:
        with in_time():
            await submission.acknowledgement(seq)
    return submission.answer()


async def _body(request: web.Request, config: ApiConfig) -> bytes:
    """Nearly always it has arrived with the head; a slow one may not hold the worker's memory for ever."""
    gzipped = is_gzip(request)
    if request.content.is_eof():
        body = await request.read()
    else:
        body = await _slow_body(request, config)
    return inflated(body, max_bytes=config.body_max_bytes) if gzipped else body


async def _slow_body(request: web.Request, config: ApiConfig) -> bytes:
    if (request.content_length or 0) > config.body_max_bytes:  # before the client sends it all for nothing
        raise too_large(config.body_max_bytes)
    try:
        async with asyncio.timeout(config.body_timeout_seconds):
            return await request.read()
    except TimeoutError as error:
        detail = f"The body did not arrive within {config.body_timeout_seconds:g} s. Send it again."
        raise ProblemError(errors.REQUEST_TIMEOUT, detail) from error
