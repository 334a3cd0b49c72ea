"""Handlers of erasures: DELETE /v1/admin/users/{user_id}, and how far one is.

The request removes, in one transaction, all that has a key by user, and leaves a record by which merges drop
what still comes of before. The log has no such key: `tayang maintain` searches it (docs/decisions/0027).
"""

from typing import Any, Final
from uuid import UUID

import asyncpg
from aiohttp import web

from api.admin.database import Connection, primary
from api.admin.documents import answer, plain
from api.admin.store import load_sql
from api.admin.validation import invalid_field
from api.errors import NOT_FOUND, ProblemError
from api.keys import CONFIG
from api.users import user_id_problem
from buffer.contract import MERGE_LOCK

_TAKE_TURN: Final = load_sql("erasure_turn")
_REMOVALS: Final = {
    "audience": load_sql("erase_audience"),
    "counts": load_sql("erase_counts"),
    "quarantine": load_sql("erase_quarantined"),
}
_ERASE_UPLOADS: Final = load_sql("erase_uploads")
_PLACES: Final = (*_REMOVALS, "test_users", "log")
_FIND_TESTER: Final = load_sql("find_tester")
_DELETE_TESTER: Final = load_sql("delete_tester")
_RECORD: Final = load_sql("record_erasure")
_TELL: Final = load_sql("tell_erasure")
_FIND: Final = load_sql("find_erasure")


async def erase_user(request: web.Request) -> web.Response:
    """202 {"id", "status": "erasing", "erased_at", "done_at", "removed"}; Location says where to ask."""
    user_id = request.match_info["user_id"]
    if (problem := user_id_problem(user_id)) is not None:
        raise invalid_field("user_id", "not_allowed", problem)
    slack = request.app[CONFIG].erasure_clock_slack_seconds
    async with primary(request) as connection, connection.transaction():
        # No merge is under way from here on: each has counted before, or will know of the erasure.
        await connection.execute(_TAKE_TURN, MERGE_LOCK)
        removed = await _remove(connection, user_id)
        record = await connection.fetchrow(_RECORD, user_id, removed, slack)
        await connection.execute(_TELL, user_id)
    assert record is not None
    return answer(_document(record), status=202, headers={"Location": f"/v1/admin/erasures/{record['id']}"})


async def get_erasure(request: web.Request) -> web.Response:
    """The same document; `status` is "erased" once the log has been searched too."""
    erasure_id = _erasure_id(request.match_info["id"])
    async with primary(request) as connection:
        record = await connection.fetchrow(_FIND, erasure_id)
    if record is None:
        raise _not_found()
    return answer(_document(record))


async def _remove(connection: Connection, user_id: str) -> dict[str, int]:
    """By place: how many rows."""
    removed = {}
    for place, statement in _REMOVALS.items():
        removed[place] = int((await connection.execute(statement, user_id)).removeprefix("DELETE "))
    await connection.execute(_ERASE_UPLOADS, user_id)
    # Asked first: a statement that finds nothing moves the catalog's version all the same.
    tester = await connection.fetchrow(_FIND_TESTER, user_id)
    if tester is not None:
        await connection.execute(_DELETE_TESTER, user_id)
    removed["test_users"] = int(tester is not None)
    return removed


def _document(record: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": str(record["id"]),
        "status": "erasing" if record["done_at"] is None else "erased",
        "erased_at": plain(record["erased_at"]),
        "done_at": plain(record["done_at"]),
        "removed": {place: record["removed"][place] for place in _PLACES if place in record["removed"]},
    }


def _erasure_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _not_found() from None


def _not_found() -> ProblemError:
    return ProblemError(
        NOT_FOUND, "no erasure has this id: take it from the answer to DELETE, or erase again"
    )
