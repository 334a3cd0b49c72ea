"""What callers of the admin API, of the documents and of the metrics expect of HTTP.

304 for what has not changed, gzip, and headers for browsers. Popups and events don't pass through here: their
answers are small, never the same twice, and have signed tokens beside what the user has chosen (BREACH).
"""

import hashlib
import re
from functools import wraps
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from api.http.percent import check_url

#: Less fits in one packet, compressed or not.
COMPRESSED_MIN_BYTES: Final = 1400
_READS: Final = frozenset(("GET", "HEAD"))
_TEXTS: Final = ("application/json", "application/openapi+json", "text/", "application/javascript")
_NO_STORE: Final = "no-store"
#: Browsers and their caches: nothing is guessed, kept without asking again, or told to other sites.
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


def negotiated(handler: Handler) -> Handler:
    """The handler, with a whole answer made fit for who asks."""

    @wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        check_url(request)
        response = await handler(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if (
            request.method in _READS
            and response.status == web.HTTPOk.status_code
            and isinstance(response, web.Response)
        ):
            return _negotiate(request, response)
        return response

    return answered


def _negotiate(request: web.Request, response: web.Response) -> web.Response:
    headers, body = response.headers, response.body
    if not isinstance(body, bytes):
        return response
    headers["Vary"] = f"{headers['Vary']}, Accept-Encoding" if "Vary" in headers else "Accept-Encoding"
    if "ETag" not in headers and _NO_STORE not in headers["Cache-Control"]:
        # Weak: the same content, not the same bytes, since it may be compressed.
        headers["ETag"] = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    if "ETag" in headers and _known(request, headers["ETag"]):
        return _not_modified(response)
    if len(body) >= COMPRESSED_MIN_BYTES and response.content_type.startswith(_TEXTS):
        _compress(request, response)
    return response


def _compress(request: web.Request, response: web.Response) -> None:
    """Only answers to reads come here: the text of a new key is in an answer to a POST."""
    if not takes_gzip(request.headers.getall("Accept-Encoding", [])):
        return
    if response.headers.get("ETag", "").startswith('"'):  # other bytes than without gzip (RFC 9110, 8.8.3.3)
        response.headers["ETag"] = f"W/{response.headers['ETag']}"
    response.enable_compression(web.ContentCoding.gzip)  # what is large, aiohttp compresses in a thread


def takes_gzip(values: list[str]) -> bool:
    """Whether Accept-Encoding says so: `gzip`, not with `q=0`; `*` alone is of clients that don't care."""
    for each in ",".join(values).split(","):
        name, _, parameter = each.partition(";")
        if name.strip().lower() in ("gzip", "x-gzip"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameter, re.IGNORECASE)
    return False


def _known(request: web.Request, etag: str) -> bool:
    """Whether the client has this version, compared weakly (RFC 9110, 13.1.2)."""
    named = ",".join(request.headers.getall("If-None-Match", []))
    if named.strip() == "*":
        return True
    match = _TAG.fullmatch(etag)
    return match is not None and match[1] in _TAG.findall(named)


def _not_modified(response: web.Response) -> web.Response:
    kept = {
        name: response.headers[name]
        for name in ("ETag", "Cache-Control", "Vary", "Link")
        if name in response.headers
    }
    return web.Response(status=304, headers=kept)
