"""What the admin API takes and answers: JSON documents, straight from rows."""

import json
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from api.admin.validation import invalid_fields

JSON: Final = "application/json"

M = TypeVar("M", bound=BaseModel)


def answer(
    document: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers=headers, content_type=JSON)


def plain(value: Any) -> Any:
    """As JSON has it: instants in UTC with a Z."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def validated(validate: Callable[[dict[str, Any]], M], document: dict[str, Any]) -> M:
    """Raises ProblemError 422 with every wrong field."""
    try:
        return validate(document)
    except ValidationError as error:
        raise invalid_fields(error) from None


def without_sent_back(
    body: dict[str, Any], stored: dict[str, Any], read_only: Collection[str]
) -> dict[str, Any]:
    """Without what is given by us: a client may send that back as it was read, and not otherwise."""
    return {name: value for name, value in body.items() if name not in read_only or value != stored.get(name)}


def same_value(one: Any, other: Any) -> bool:
    """As JSON. Nested values are compared as text: Python takes {"a": 1} and {"a": true} for equal."""
    return bool(one == other) and (not isinstance(other, (dict, list)) or _text(one) == _text(other))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
