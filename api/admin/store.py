"""Campaigns and the policy in the database. A row here is a dict by column name, as asyncpg decodes it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from api.admin.database import Connection
from api.campaigns.model import CampaignIn
from api.errors import KEY_TAKEN, NOT_FOUND, ProblemError

Row = dict[str, Any]

MAX_ID: Final = 2**31 - 1
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)


def load_sql(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_LIST: Final = load_sql("list_campaigns")
_FIND: Final = load_sql("find_campaign")
_INSERT: Final = load_sql("insert_campaign")
_UPDATE: Final = load_sql("update_campaign")
_ARCHIVE: Final = load_sql("archive_campaign")
_FIND_POLICY: Final = load_sql("find_policy")
_UPDATE_POLICY: Final = load_sql("update_policy")


async def init_connection(connection: asyncpg.Connection) -> None:
    """For the pool's `init`: jsonb columns are Python values on every connection of the admin API."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode_json, decoder=json.loads)


@dataclass(frozen=True)
class CampaignRef:
    """The {id} of a path: digits are an id (so no key may be all digits), everything else is a key."""

    id: int | None = None
    key: str | None = None

    @classmethod
    def parse(cls, text: str) -> "CampaignRef":
        """Raises ProblemError NOT_FOUND for what can be neither."""
        if _KEY.fullmatch(text) is None:
            raise not_found()
        if not text.isdigit():
            return cls(key=text)
        if int(text) > MAX_ID:
            raise not_found()
        return cls(id=int(text))


async def list_campaigns(
    connection: Connection, *, after: int, limit: int, status: str | None, placement: str | None
) -> list[Row]:
    """By ascending id, from above `after`."""
    return [dict(row) for row in await connection.fetch(_LIST, after, limit, status, placement)]


async def find_campaign(connection: Connection, ref: CampaignRef) -> Row:
    """Raises ProblemError NOT_FOUND."""
    row = await connection.fetchrow(_FIND, ref.id, ref.key)
    if row is None:
        raise not_found()
    return dict(row)


async def insert_campaign(connection: Connection, campaign: CampaignIn) -> Row:
    """Raises ProblemError KEY_TAKEN."""
    try:
        row = await connection.fetchrow(_INSERT, *_values(campaign))
    except asyncpg.UniqueViolationError:
        raise await _key_taken(connection, campaign.key) from None
    assert row is not None
    return dict(row)


async def update_campaign(
    connection: Connection, campaign_id: int, version: int, campaign: CampaignIn
) -> Row | None:
    """None if `version` is not the current one. Raises ProblemError KEY_TAKEN."""
    try:
        row = await connection.fetchrow(_UPDATE, campaign_id, version, *_values(campaign))
    except asyncpg.UniqueViolationError:
        raise await _key_taken(connection, campaign.key) from None
    return None if row is None else dict(row)


async def archive_campaign(connection: Connection, campaign_id: int, version: int) -> Row | None:
    """None if `version` is not the current one."""
    row = await connection.fetchrow(_ARCHIVE, campaign_id, version)
    return None if row is None else dict(row)


async def find_policy(connection: Connection) -> Row:
    row = await connection.fetchrow(_FIND_POLICY)
    assert row is not None  # the migration wrote it
    return dict(row)


async def update_policy(connection: Connection, version: int, document: dict[str, Any]) -> Row | None:
    """None if `version` is not the current one."""
    row = await connection.fetchrow(_UPDATE_POLICY, version, document)
    return None if row is None else dict(row)


def not_found() -> ProblemError:
    return ProblemError(NOT_FOUND, "no campaign has this id or key: GET /v1/admin/campaigns lists them")


async def _key_taken(connection: Connection, key: str) -> ProblemError:
    owner = await connection.fetchrow(_FIND, None, key)
    held = "another campaign" if owner is None else f"campaign {owner['id']} ({owner['status']})"
    return ProblemError(KEY_TAKEN, f"the key '{key}' belongs to {held}: choose another key")


def _values(campaign: CampaignIn) -> list[Any]:
    fields = campaign.model_dump()
    return [fields[name] for name in CampaignIn.model_fields]


def _encode_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
