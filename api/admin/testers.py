"""Handlers of /v1/admin/test-users: users whose events never count.

Few, since every api process holds them all.
"""

from typing import Annotated, Any, Final

import asyncpg
from aiohttp import web
from pydantic import AfterValidator, Field

from api.admin.body import read_optional_object
from api.admin.database import Connection, primary
from api.admin.documents import JSON, answer, plain, validated
from api.admin.pages import asked_page, page_answer
from api.admin.store import load_sql
from api.admin.validation import invalid_field
from api.campaigns.targeting import StrictModel, check_storable
from api.errors import LIMIT_REACHED, NOT_FOUND, ProblemError
from api.users import user_id_problem

MAX_TESTERS: Final = 1000

_LIST: Final = load_sql("list_testers")
_FIND: Final = load_sql("find_tester")
_LOCK: Final = load_sql("lock_testers")
_COUNT: Final = load_sql("count_testers")
_PUT: Final = load_sql("put_tester")
_DELETE: Final = load_sql("delete_tester")


class TesterIn(StrictModel):
    note: Annotated[str, Field(max_length=200), AfterValidator(check_storable)] = ""


async def list_testers(request: web.Request) -> web.Response:
    """`?limit=1..200&cursor=` → {"test_users": […], "next_cursor"}, by ascending id."""
    page = asked_page(request, "test_users", _is_user_id)
    async with primary(request) as connection:
        rows = await connection.fetch(_LIST, page.after or "", page.rows)
    return page_answer(request, page, rows, _document, place="user_id")


async def put_tester(request: web.Request) -> web.Response:
    """201 for a new test user, 200 for a new note, or the same; 409 beyond 1,000."""
    user_id = _user_id(request)
    note = validated(TesterIn.model_validate, await read_optional_object(request, JSON)).note
    async with primary(request) as connection, connection.transaction():
        await connection.execute(_LOCK)
        known = await connection.fetchrow(_FIND, user_id)
        if known is not None and known["note"] == note:  # the catalog of every api process stays as it is
            return answer(_document(known))
        if known is None:
            await _check_room(connection)
        row = await connection.fetchrow(_PUT, user_id, note)
        assert row is not None
    return answer(_document(row), status=200 if known else 201)


async def delete_tester(request: web.Request) -> web.Response:
    """204. What the user does from then on counts; what came before never does."""
    user_id = _user_id(request)
    async with primary(request) as connection:
        # Asked first: a statement that finds nothing moves the catalog's version all the same.
        if await connection.fetchrow(_FIND, user_id) is None:
            raise ProblemError(NOT_FOUND, "no test user has this id: GET /v1/admin/test-users lists them")
        await connection.execute(_DELETE, user_id)
    return web.Response(status=204)


async def _check_room(connection: Connection) -> None:
    if await connection.fetchval(_COUNT) >= MAX_TESTERS:
        raise ProblemError(
            LIMIT_REACHED, f"there are {MAX_TESTERS} test users: delete those that are no longer needed"
        )


def _user_id(request: web.Request) -> str:
    user_id = request.match_info["user_id"]
    if (problem := user_id_problem(user_id)) is not None:
        raise invalid_field("user_id", "not_allowed", problem)
    return user_id


def _is_user_id(place: Any) -> bool:
    return isinstance(place, str) and user_id_problem(place) is None


def _document(row: asyncpg.Record) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}
