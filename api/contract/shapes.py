"""JSON Schemas in words, with links to those that have a name."""

from typing import Any, Final

from api.contract.html import code, table, text

Schema = dict[str, Any]
_LIMITS: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " members"),
)
_NAMES: Final = {"array": "list", "object": "object", "integer": "whole number"}


def name_of(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def shape(schema: Schema) -> str:
    """Such as "list of Cap, at most 10"; HTML."""
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(shape(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(code(each) for each in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    return ", ".join([_kind(schema), *_limits(schema)])


def fields(schema: Schema) -> str:
    """A table of an object's members."""
    required = schema.get("required", ())
    rows = [
        [
            code(name) + ("" if name in required else " <small>optional</small>"),
            shape(member),
            _about(member),
        ]
        for name, member in schema.get("properties", {}).items()
    ]
    return table(["Field", "Type", ""], rows) if rows else ""


def _kind(schema: Schema) -> str:
    kind: str = schema.get("type", "anything")
    if kind == "array" and "items" in schema:
        return f"list of {shape(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {shape(schema['additionalProperties'])}"
    name = _NAMES.get(kind, kind)
    return f"{name} ({schema['format']})" if "format" in schema else name


def _limits(schema: Schema) -> list[str]:
    found = [_range(schema.get(least), schema.get(most), unit) for least, most, unit in _LIMITS]
    return [each for each in found if each] + ([code(schema["pattern"])] if "pattern" in schema else [])


def _range(least: int | None, most: int | None, unit: str) -> str:
    if least is not None and most is not None:
        return f"{least:,} to {most:,}{unit}"
    if least is None and most is None:
        return ""
    return f"at least {least:,}{unit}" if most is None else f"at most {most:,}{unit}"


def _about(schema: Schema) -> str:
    parts = [text(schema["description"])] if "description" in schema else []
    if schema.get("default") not in (None, [], "", {}):
        parts.append(f"default {code(_json(schema['default']))}")
    if "examples" in schema:
        parts.append("such as " + ", ".join(code(each) for each in schema["examples"]))
    return "; ".join(parts)


def _json(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
