"""CORS (fetch.spec.whatwg.org): which web pages may call this API from a browser. Off without origins.

Callers prove who they are by a header that a page has to set itself, never by a cookie: credentials mode
isn't answered, so that a browser sends nothing along that the page doesn't have.
"""

import re
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from api import errors
from api.errors import ProblemError

_ORIGIN: Final = re.compile(
    r"https?://(?:\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([1-9]\d{0,4}))?", re.ASCII
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_PORT_MAX: Final = 65_535
_REQUEST_HEADERS: Final = "Authorization, Content-Type, If-Match, If-None-Match, Upload-Length, Upload-Offset"
_EXPOSED_HEADERS: Final = (
    "ETag, Location, Link, Retry-After, Allow, Deprecation, Sunset, RateLimit, RateLimit-Policy, "
    "WWW-Authenticate, Content-Disposition, Upload-Offset, Upload-Complete, Upload-Limit"
)
#: How long a browser need not ask again: so long an origin that was taken out may still send requests.
_PREFLIGHT_SECONDS: Final = 600


def check_origins(origins: tuple[str, ...]) -> None:
    """Raises ValueError unless each is an origin as browsers write it: they are compared as text."""
    for origin in origins:
        match = _ORIGIN.fullmatch(origin)
        if match is None:
            raise ValueError(
                f"TAYANG_CORS_ORIGINS: {origin[:100]!r} is no origin: write https://app.example.com, "
                "in lower case, without a path, a slash at the end, or *"
            )
        port = match[1]
        if port is not None and (int(port) > _PORT_MAX or port == _DEFAULT_PORTS[origin.partition(":")[0]]):
            raise ValueError(
                f"TAYANG_CORS_ORIGINS: {origin!r}: leave out the port, browsers don't send this one"
            )


def cors(origins: tuple[str, ...]) -> list[Middleware]:
    """The middleware, to stand before all others; none without origins. Raises ValueError."""
    check_origins(origins)
    allowed = frozenset(origins)

    @web.middleware
    async def shared(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        response: web.StreamResponse
        if origin is not None and _is_preflight(request):
            response = _preflight(request, origin in allowed)
        else:
            response = await handler(request)
        # A cache must not give one page's answer to another.
        vary = response.headers.get("Vary")
        response.headers["Vary"] = "Origin" if vary is None else f"{vary}, Origin"
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        return response

    return [shared] if origins else []


def _is_preflight(request: web.Request) -> bool:
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _preflight(request: web.Request, allowed: bool) -> web.Response:
    """What a browser asks before the request itself, and without a key."""
    if not allowed:
        return ProblemError(errors.FORBIDDEN, "the page's Origin is not in TAYANG_CORS_ORIGINS").response()
    refused = request.match_info.http_exception
    if not isinstance(refused, web.HTTPMethodNotAllowed):
        return ProblemError(errors.NOT_FOUND, f"{errors.NOT_FOUND.title}.").response()
    headers = {
        "Access-Control-Allow-Methods": ", ".join(sorted(refused.allowed_methods)),
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    }
    return web.Response(status=204, headers=headers)
