"""API keys in the database: made, listed, rotated, revoked. A row is a dict by column name."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic import AfterValidator, Field

from api.access.secret import digest, new_id, new_secret
from api.access.table import SCOPES, Scope
from api.campaigns.fields import Instant
from api.campaigns.targeting import StrictModel, check_storable
from api.errors import LIMIT_REACHED, NOT_FOUND, ProblemError

Connection = asyncpg.Connection | PoolConnectionProxy
Row = dict[str, Any]

#: Every process holds them all.
MAX_KEYS: Final = 1000


def _statement(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_LIST: Final = _statement("list_keys")
_FIND: Final = _statement("find_key")
_LOCK: Final = _statement("lock_keys")
_COUNT: Final = _statement("count_keys")
_INSERT: Final = _statement("insert_key")
_INSERT_SECRET: Final = _statement("insert_secret")
_ROTATE: Final = _statement("rotate_key")
_EXPIRE_SECRETS: Final = _statement("expire_secrets")
_REVOKE: Final = _statement("revoke_key")
_FORGET_SECRETS: Final = _statement("forget_secrets")


def _each_once(scopes: list[Scope]) -> list[Scope]:
    return [scope for scope in SCOPES if scope in scopes]


class KeyIn(StrictModel):
    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(check_storable)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20), AfterValidator(_each_once)]
    expires_at: Instant | None = None


async def list_keys(connection: Connection, *, after: str, limit: int) -> list[Row]:
    """By ascending id, from above `after`."""
    return [dict(row) for row in await connection.fetch(_LIST, after, limit)]


async def find_key(connection: Connection, key_id: str) -> Row:
    """Raises ProblemError NOT_FOUND."""
    row = await connection.fetchrow(_FIND, key_id)
    if row is None:
        raise not_found()
    return dict(row)


async def create_key(connection: Connection, key: KeyIn) -> tuple[Row, str]:
    """The key and its text, which is nowhere else. Raises ProblemError LIMIT_REACHED."""
    key_id = new_id()
    text = new_secret(key_id)
    async with connection.transaction():
        await connection.execute(_LOCK)
        if await connection.fetchval(_COUNT) >= MAX_KEYS:
            raise ProblemError(
                LIMIT_REACHED, f"there are {MAX_KEYS} API keys: revoke those that are no longer needed"
            )
        row = await connection.fetchrow(_INSERT, key_id, key.name, key.scopes, key.expires_at)
        await connection.execute(_INSERT_SECRET, digest(text), key_id)
    assert row is not None
    return dict(row), text


async def rotate_key(connection: Connection, key_id: str, *, overlap_seconds: float) -> tuple[Row, str]:
    """The key and its new text; the older ones go on for the overlap.

    Raises ProblemError NOT_FOUND, also for a key that has expired or was revoked.
    """
    text = new_secret(key_id)
    async with connection.transaction():
        row = await connection.fetchrow(_ROTATE, key_id)
        if row is None:
            raise not_found()
        await connection.execute(_EXPIRE_SECRETS, key_id, overlap_seconds)
        await connection.execute(_FORGET_SECRETS, key_id, False)
        await connection.execute(_INSERT_SECRET, digest(text), key_id)
    return dict(row), text


async def revoke_key(connection: Connection, key_id: str) -> None:
    """One that was revoked stays so. Raises ProblemError NOT_FOUND."""
    async with connection.transaction():
        if await connection.fetchval(_REVOKE, key_id) is None:
            await find_key(connection, key_id)
            return
        await connection.execute(_FORGET_SECRETS, key_id, True)


def status_of(row: Row, now: datetime) -> str:
    """`active`, `expired` or `revoked`."""
    if row["revoked_at"] is not None:
        return "revoked"
    expires_at = row["expires_at"]
    return "expired" if expires_at is not None and expires_at <= now else "active"


def not_found() -> ProblemError:
    return ProblemError(NOT_FOUND, "no API key that holds has this id: GET /v1/admin/keys lists them")
