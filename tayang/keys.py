"""What `tayang keys` does. Raises SettingsError for what the user can correct."""

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import asyncpg
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from api.access.store import (
    MAX_KEYS,
    KeyIn,
    Row,
    create_key,
    list_keys,
    revoke_key,
    rotate_key,
    status_of,
)
from api.errors import ProblemError
from buffer.primary import Primary
from tayang.settings import SettingsError, load_settings

T = TypeVar("T")

_CONNECT_SECONDS: Final = 10.0
_STAGGER_SECONDS: Final = 0.25


def create(name: str, scopes: list[str], expires_days: int | None, *, as_json: bool) -> None:
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    try:
        wanted = KeyIn.model_validate(
            {
                "name": name,
                "scopes": scopes,
                "expires_at": None if expires_at is None else expires_at.isoformat(),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = {"scopes": "scope"}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise SettingsError(f"--{option}: {first['msg']}") from error
    _print_secret(*_run(lambda connection: create_key(connection, wanted)), as_json=as_json)


def show(*, as_json: bool) -> None:
    rows = _run(_all)
    if as_json:
        typer.echo(json.dumps([_document(row) for row in rows]))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "status", "scopes", "expires", "rotated"):
        table.add_column(column)
    for row in rows:
        document = _document(row)
        table.add_row(
            row["id"],
            row["name"],
            document["status"],
            ", ".join(row["scopes"]),
            document["expires_at"] or "never",
            document["rotated_at"] or "never",
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def rotate(key_id: str, *, overlap_seconds: float, as_json: bool) -> None:
    changed = _run(lambda connection: rotate_key(connection, key_id, overlap_seconds=overlap_seconds))
    _print_secret(*changed, as_json=as_json)


def revoke(key_id: str) -> None:
    _run(lambda connection: revoke_key(connection, key_id))
    typer.echo(f"{key_id} is revoked")


def _run(work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    settings = load_settings()
    settings.require_primary()

    async def connected() -> T:
        primary = Primary(
            settings.primary_dsn, timeout_seconds=_CONNECT_SECONDS, stagger_seconds=_STAGGER_SECONDS
        )
        connection = await primary.connect()
        try:
            await connection.execute(
                "SELECT set_config('tayang.actor', $1, false)", f"cli:{getpass.getuser()}"
            )
            return await work(connection)
        finally:
            connection.terminate()

    try:
        return asyncio.run(connected())
    except ProblemError as error:
        raise SettingsError(error.detail.replace("GET /v1/admin/keys", "'tayang keys list'")) from error
    except asyncpg.UndefinedTableError as error:
        raise SettingsError("the schema is older than this program: run 'tayang migrate'") from error


async def _all(connection: asyncpg.Connection) -> list[Row]:
    rows: list[Row] = []
    while page := await list_keys(connection, after=rows[-1]["id"] if rows else "", limit=MAX_KEYS):
        rows += page
    return rows


def _print_secret(row: Row, text: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**_document(row), "key": text}))
        return
    print(f"key {row['id']} for {row['name']}; it is not shown again:", file=sys.stderr)  # noqa: T201
    typer.echo(text)


def _document(row: Row) -> dict[str, Any]:
    document = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()
    }
    return {**document, "status": status_of(row, datetime.now(UTC))}
