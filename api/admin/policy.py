"""Handlers of /v1/admin/policy: one document, with a version like a campaign's."""

from typing import Any, Final

from aiohttp import web

from api.admin import store
from api.admin.body import read_object
from api.admin.database import primary
from api.admin.documents import JSON, answer, plain, same_value, validated, without_sent_back
from api.admin.store import Row
from api.admin.versions import conflict_first, etag, required_version, version_conflict
from api.campaigns.policy import PolicyIn, document_of

_WHAT: Final = "policy"
_READ_ONLY: Final = ("updated_at",)


async def get_policy(request: web.Request) -> web.Response:
    """The policy, with its version as an ETag; what was never written has its default."""
    async with primary(request) as connection:
        return _policy(await store.find_policy(connection))


async def put_policy(request: web.Request) -> web.Response:
    """Replaces the whole policy; what is left out gets its default. Idempotent, as a campaign's PUT."""
    body = await read_object(request, JSON)
    expected = required_version(request, body)
    async with primary(request) as connection:
        row = await store.find_policy(connection)
        with conflict_first(expected, row["version"], _WHAT):
            policy = validated(PolicyIn.model_validate, without_sent_back(body, _document(row), _READ_ONLY))
        document = document_of(policy)
        if same_value(_with_defaults(row), document):  # the catalog of every api process stays as it is
            return _policy(row)
        if not expected.allows(row["version"]):
            raise version_conflict(row["version"], _WHAT)
        changed = await store.update_policy(connection, row["version"], document)
        if changed is None:  # somebody changed it between our read and our write
            raise version_conflict((await store.find_policy(connection))["version"], _WHAT)
        return _policy(changed)


def _policy(row: Row) -> web.Response:
    return answer(_document(row), headers={"ETag": etag(row["version"])})


def _document(row: Row) -> dict[str, Any]:
    return {**_with_defaults(row), "version": row["version"], "updated_at": plain(row["updated_at"])}


def _with_defaults(row: Row) -> dict[str, Any]:
    return {**document_of(PolicyIn()), **row["document"]}
