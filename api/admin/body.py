"""What a client sends: bodies read within limits of bytes and seconds, and query parameters."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any, Final

from aiohttp import web

from api.errors import (
    BAD_JSON,
    BAD_PARAMETER,
    BAD_REQUEST,
    REQUEST_TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from api.http.encoding import PIECE_MAX_BYTES, Inflater, is_gzip, too_large
from api.keys import CONFIG

#: A client that sends nothing for so long is gone, or holds what others wait for.
STALL_SECONDS: Final = 30.0
_YEARS: Final = range(1970, 9999)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


async def read_object(request: web.Request, *media_types: str) -> dict[str, Any]:
    """The JSON object in the body. Raises ProblemError 400, 408, 413 or 415."""
    require_media_type(request, *media_types)
    body = bytearray()
    try:
        async with asyncio.timeout(STALL_SECONDS):
            async for chunk in body_chunks(request, max_bytes=request.app[CONFIG].admin_body_max_bytes):
                body += chunk
    except TimeoutError:
        raise _too_slow() from None
    return _parse_object(body)


async def read_optional_object(request: web.Request, *media_types: str) -> dict[str, Any]:
    """The same; without a body an empty object."""
    return await read_object(request, *media_types) if request.body_exists else {}


async def body_chunks(request: web.Request, *, max_bytes: int) -> AsyncIterator[bytes]:
    """The body (inflated) in pieces of at most 16 KiB. Raises ProblemError 400, 408, 413 or 415."""
    gzipped = is_gzip(request)
    if (request.content_length or 0) > max_bytes:  # before the client sends it all for nothing
        raise too_large(max_bytes)
    received = 0
    async for piece in _inflated(request) if gzipped else _sent(request):
        received += len(piece)
        if received > max_bytes:
            raise too_large(max_bytes)
        yield piece


async def _inflated(request: web.Request) -> AsyncIterator[bytes]:
    inflater = Inflater()
    async for chunk in _sent(request):
        for piece in inflater.pieces(chunk):
            yield piece
    inflater.end()


async def _sent(request: web.Request) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                chunk = await request.content.read(PIECE_MAX_BYTES)
        except TimeoutError:
            raise _too_slow() from None
        except (ConnectionError, web.RequestPayloadError) as error:
            # aiohttp closes the connection, since nobody knows where the next request would begin.
            raise ProblemError(
                BAD_REQUEST,
                "the body broke off, or is not encoded as its headers say: send it whole",
                headers={"Connection": "close"},
            ) from error
        if not chunk:
            return
        yield chunk


def require_media_type(request: web.Request, *media_types: str) -> None:
    if request.content_type not in media_types:
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE, f"send the header 'Content-Type: {' or '.join(media_types)}'"
        )


def parameter(request: web.Request, name: str, default: str) -> str:
    """A query parameter that may be given once."""
    values = request.query.getall(name, [default])
    if len(values) > 1:
        raise wrong_parameter(name, f"is given {len(values)} times: give it once")
    return values[0]


def integer_parameter(request: web.Request, name: str, default: int, allowed: range) -> int:
    text = parameter(request, name, str(default))
    # int() alone would take "1_0", " 7 " and digits of any script, of any length.
    if text.isascii() and text.isdigit() and len(text) <= len(str(allowed[-1])) and int(text) in allowed:
        return int(text)
    raise wrong_parameter(name, f"must be a whole number from {allowed[0]} to {allowed[-1]}")


def date_parameter(request: web.Request, name: str, default: date) -> date:
    text = parameter(request, name, default.isoformat())
    try:
        # fromisoformat would take "20261101" and weeks, too.
        if _DATE.fullmatch(text) and (day := date.fromisoformat(text)).year in _YEARS:
            return day
    except ValueError:  # such as the 30th of February
        pass
    raise wrong_parameter(name, "must be a date such as 2026-11-01")


def choice_parameter(request: web.Request, name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = parameter(request, name, default)
    if value not in allowed and value != default:
        raise wrong_parameter(name, f"must be one of {', '.join(allowed)}")
    return value


def text_parameter(request: web.Request, name: str) -> str | None:
    """One for a statement: PostgreSQL has no NUL. None if it is not given, or empty."""
    text = parameter(request, name, "")
    if "\0" in text:
        raise wrong_parameter(name, "contains a NUL character: remove it")
    return text or None


def wrong_parameter(name: str, detail: str) -> ProblemError:
    return ProblemError(BAD_PARAMETER, f"{name} {detail}", parameter=name)


def _parse_object(body: bytearray) -> dict[str, Any]:
    try:
        document = json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_once_each
        )
    except UnicodeDecodeError as error:
        raise ProblemError(BAD_JSON, f"byte {error.start} is not UTF-8: send UTF-8") from None
    except json.JSONDecodeError as error:
        raise ProblemError(BAD_JSON, f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ProblemError(BAD_JSON, "the JSON is nested too deeply: a campaign needs 20 levels") from None
    except ValueError as error:  # from the two hooks, or a number of more than 4300 digits
        raise ProblemError(BAD_JSON, str(error)) from None
    if not isinstance(document, dict):
        raise ProblemError(BAD_JSON, 'the body must be a JSON object: {"key": …}')
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python keeps the last of two equal names; whoever wrote the first one meant it too."""
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:100]!r} is in one object twice: keep one")
    return document


def _too_slow() -> ProblemError:
    return ProblemError(REQUEST_TIMEOUT, f"nothing came for {STALL_SECONDS:g} seconds, or too slowly")
