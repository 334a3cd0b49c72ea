"""What can still be found of a user: in every table of a database, and in the memory of an api process."""

import asyncio
import gc
import types
from collections.abc import Iterator
from typing import Any, Final

import asyncpg

from tests.support.service import Service, user_jwt

_TABLES: Final = """
SELECT c.oid::regclass::text AS name
FROM pg_class AS c
WHERE c.relkind IN ('r', 'm')
    AND c.relnamespace::regnamespace::text !~ '^(pg_catalog|pg_toast|information_schema)'
    AND (c.relpersistence <> 'u' OR NOT pg_is_in_recovery())
ORDER BY 1"""
#: What holds everything there is: other tests' users, too.
_NOT_ENTERED: Final = (
    type,
    types.ModuleType,
    types.FrameType,
    types.CodeType,
    types.CoroutineType,
    asyncio.AbstractEventLoop,
    asyncio.Future,
)


async def traces_in(connection: asyncpg.Connection, *user_ids: str) -> dict[str, int]:
    """By table: rows that have one of the ids in them, as text or as bytes. Each partition is a table."""
    texts = [text for user_id in user_ids for text in (user_id, user_id.encode().hex())]
    found = {}
    for table in await connection.fetch(_TABLES):
        rows = await connection.fetchval(
            f"SELECT count(*) FROM {table['name']} AS t WHERE t::text LIKE ANY ($1::text[])",
            [f"%{text}%" for text in texts],
        )
        if rows:
            found[str(table["name"])] = int(rows)
    return found


def traces_in_memory(service: Service, user_id: str) -> list[str]:
    """Texts and bytes with the user's id or JWT that a process holds; `service` runs in this one.

    But for addresses of the admin API: the HTTP library remembers the last 128.
    """
    wanted = (user_id, user_jwt(user_id))
    wanted_bytes = tuple(text.encode() for text in wanted)

    def tells(each: Any) -> bool:
        if isinstance(each, str):
            return any(text in each for text in wanted) and not each.startswith("/v1/admin/")
        return isinstance(each, bytes | bytearray) and any(text in each for text in wanted_bytes)

    return [repr(each)[:80] for each in _reachable(service.delivery) if tells(each)]


def _reachable(root: Any) -> Iterator[Any]:
    seen = {id(root)}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        yield one
        inner = (one.__closure__, one.__defaults__) if isinstance(one, types.FunctionType) else (one,)
        for each in gc.get_referents(*inner):
            if id(each) not in seen and not isinstance(each, _NOT_ENTERED):
                seen.add(id(each))
                waiting.append(each)
