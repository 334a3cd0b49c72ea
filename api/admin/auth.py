"""Who may use the admin API. Every admin route goes through `admin_only`."""

import hmac
from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from api.authorization import authorization
from api.errors import UNAUTHORIZED, ProblemError
from api.keys import CONFIG

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_only(handler: Handler) -> Handler:
    """401 without the admin key, before anything of the request is read."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        if not _holds_key(authorization(request) or "", request.app[CONFIG].admin_key):
            raise ProblemError(
                UNAUTHORIZED,
                "send the admin key (TAYANG_ADMIN_KEY) in the header 'Authorization: Bearer <key>'",
            )
        return await handler(request)

    return guarded


def _holds_key(header: str, admin_key: str) -> bool:
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "bearer" or not admin_key:  # an empty key would let everybody in
        return False
    # aiohttp decodes headers with surrogateescape: this gives the bytes that were sent.
    sent = given.strip().encode(errors="surrogateescape")
    return hmac.compare_digest(sent, admin_key.encode())
