"""Holding documents against the schemas of /openapi.json."""

import json
from typing import Any

import jsonschema_rs

_DATA = ("default", "enum", "const", "example", "examples")


class Forms:
    """The schemas of one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        open_ones = document["components"]["schemas"]
        self._components = {
            False: open_ones,
            True: {name: _closed(each) for name, each in open_ones.items()},
        }
        self._made: dict[tuple[str, bool], Any] = {}

    def validator(self, schema: Any, *, strict: bool = False) -> Any:
        """`strict`: members that the schema doesn't name are errors, too; answers may get new ones."""
        key = json.dumps(schema), strict
        if key not in self._made:
            whole = {
                "components": {"schemas": self._components[strict]},
                "allOf": [_closed(schema) if strict else schema],
            }
            self._made[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return self._made[key]


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The value itself, or what it refers to."""
    if "$ref" not in value:
        return value
    found: Any = document
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: value if name in _DATA else _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
