"""Who asks a baseline: the `sub` of a JWT, verified by Tayang's library, and remembered as there."""

from typing import Any, Final

import jwt
from aiohttp import web

_REMEMBERED_MAX: Final = 200_000
_SCHEME: Final = "Bearer "


class Users:
    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._known: dict[str, tuple[str, float]] = {}

    def user_id(self, request: web.Request, now: float) -> str:
        """Raises HTTPUnauthorized. `now` in seconds since the Unix epoch."""
        authorization = request.headers.get("Authorization", "")
        known = self._known.get(authorization)
        if known is not None and now < known[1]:
            return known[0]
        try:
            claims: dict[str, Any] = jwt.decode(
                authorization.removeprefix(_SCHEME),
                self._secret,
                algorithms=["HS256"],
                options={"require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise web.HTTPUnauthorized(text=str(error)) from error
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[authorization] = (claims["sub"], float(claims["exp"]))
        return str(claims["sub"])


def add_whoami(app: web.Application, users: Users, now: Any) -> None:
    """`GET /v1/me`: so that a benchmark can make all JWTs known beforehand, as a busy service knows them."""

    async def me(request: web.Request) -> web.Response:
        return web.json_response({"user_id": users.user_id(request, now())})

    app.add_routes([web.get("/v1/me", me)])
