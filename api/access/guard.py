"""Before every handler: who calls, and whether the table lets him."""

import re
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from api import errors
from api.access.identity import ACTOR, USER
from api.access.limits import Told
from api.access.ring import KEYS, ServiceKey
from api.access.secret import MARK
from api.access.table import TABLE, Access
from api.authorization import authorization
from api.errors import ProblemError
from api.http.context import own_value
from api.http.delivery import DELIVERY, Delivery
from api.users import user_id_problem

_PATTERN: Final = re.compile(r"(\{\w+):(?:[^{}]|\{[^{}]*\})*\}")
_MARK_AT: Final = slice(len("Bearer "), len("Bearer ") + len(MARK))


def guarded(
    routes: Iterable[web.RouteDef], *, around: Callable[[Handler], Handler] | None = None
) -> list[web.RouteDef]:
    """The routes, each behind what the table says; `around` goes before that.

    Raises ValueError for a route that is not in the table.
    """
    return [
        web.route(route.method, route.path, _around(_guard(route), around), **route.kwargs)
        for route in routes
    ]


def check_guarded(app: web.Application) -> None:
    """Raises ValueError if a route was added without its guard."""
    for route in app.router.routes():
        if not hasattr(route.handler, "access"):
            path = "?" if route.resource is None else route.resource.canonical
            raise ValueError(f"{route.method} {path} is not guarded: add it through api.access.guard.guarded")


def _around(guard: Handler, around: Callable[[Handler], Handler] | None) -> Handler:
    return guard if around is None else around(guard)


def _guard(route: web.RouteDef) -> Handler:
    path = _PATTERN.sub(r"\1}", route.path)
    name = f"{route.method} {path}"
    access = TABLE.get(name)
    if access is None:
        raise ValueError(f"nobody may call {name}: say who in api/access/table.py")
    handler: Handler = route.handler

    @wraps(handler)
    async def guard(request: web.Request) -> web.StreamResponse:
        if access.users:
            request[USER], told = await _user(request, access)
            response = await handler(request)
            if told is not None:
                response.headers.update(told)
            return response
        if not access.public:
            request[ACTOR] = (await _key(request, access)).id
        return await handler(request)

    guard.access = access  # type: ignore[attr-defined]  # for check_guarded
    return guard


async def _user(request: web.Request, access: Access) -> tuple[str, Told]:
    """Who the popups or events are of, and how much more his caller may ask.

    Raises ProblemError (400, 401, 403, 429). A key that acts for a user takes nothing of that user's rate:
    what a backend does for him must not keep his phone from asking.
    """
    delivery, raw_query = request.app[DELIVERY], request.rel_url.raw_query_string
    header = authorization(request.headers)
    if not is_key(header):
        return user_of(delivery, header, raw_query)
    named = _named_user(raw_query)
    told = delivery.limits.of_key((await _key(request, access)).id)
    if named is None:
        raise ProblemError(
            errors.BAD_PARAMETER,
            "user_id is missing: a key acts for a user, ?user_id=…",
            parameter="user_id",
        )
    return named, told


def is_key(header: str | None) -> bool:
    """Whether an Authorization header has an API key, and not a user's JWT."""
    return header is not None and header[_MARK_AT] == MARK


def user_of(delivery: Delivery, header: str | None, raw_query: str) -> tuple[str, Told]:
    """The user of a JWT, who acts for himself only, and how much more he may ask.

    Raises ProblemError (400, 401, 403, 429).
    """
    named = _named_user(raw_query)
    user_id = delivery.users.user_id(header, time.time())
    told = delivery.limits.of_user(user_id)
    if named is not None and named != user_id:
        raise ProblemError(
            errors.FORBIDDEN,
            "user_id is not the user of this JWT: leave it out. Only an API key acts for others",
        )
    return user_id, told


async def _key(request: web.Request, access: Access) -> ServiceKey:
    scheme, _, text = (authorization(request.headers) or "").partition(" ")
    key = await request.app[KEYS].find(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise ProblemError(
            errors.UNAUTHORIZED,
            "send an API key that has not expired and is not revoked, or TAYANG_ADMIN_KEY, "
            "in the header 'Authorization: Bearer <key>'",
        )
    if not access.scopes & key.scopes:
        needed = " or ".join(sorted(access.scopes))
        raise ProblemError(errors.FORBIDDEN, f"this takes a key with the scope {needed}")
    return key


def _named_user(raw_query: str) -> str | None:
    if "user_id=" not in raw_query:
        return None
    user_id = own_value(raw_query, "user_id")
    if not user_id:  # such as xuser_id=
        return None
    if (problem := user_id_problem(user_id)) is not None:
        raise ProblemError(errors.BAD_PARAMETER, f"user_id {problem}", parameter="user_id")
    return user_id
