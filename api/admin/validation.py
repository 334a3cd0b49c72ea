"""Field errors: pydantic's, turned into dotted JSON names and messages that tell the remedy."""

from typing import Any, Final

from pydantic import ValidationError

from api.errors import INVALID, ProblemError

MAX_ERRORS: Final = 50
MAX_NAME_CHARACTERS: Final = 200

_SLUG: Final = (
    "use lower-case letters, digits and hyphens, with a letter or digit first, such as 'ramadan-sale'"
)

#: pydantic's error type → our stable code and the remedy; `{…}` is filled from pydantic's context.
_REMEDIES: Final = {
    "missing": ("missing", "is required: add it"),
    "extra_forbidden": ("unknown_field", "is no field here: check the spelling, or leave it out"),
    "string_type": ("wrong_type", "must be a text"),
    "string_unicode": ("not_allowed", "contains half a surrogate pair, which is not a character: remove it"),
    "int_type": ("wrong_type", "must be a whole number, without quotes"),
    "int_from_float": ("wrong_type", "must be a whole number"),
    "int_parsing_size": ("too_large", "is too large"),
    "float_type": ("wrong_type", "must be a number, without quotes"),
    "finite_number": ("too_large", "is too large"),
    "bool_type": ("wrong_type", "must be true or false"),
    "list_type": ("wrong_type", "must be a list: write [ … ]"),
    "dict_type": ("wrong_type", 'must be an object: write {{"name": value, …}}'),
    "model_type": ("wrong_type", 'must be an object: write {{"name": value, …}}'),
    "model_attributes_type": ("wrong_type", 'must be an object: write {{"name": value, …}}'),
    "literal_error": ("not_allowed", "must be one of {expected}"),
    "greater_than_equal": ("too_small", "must be at least {ge}"),
    "less_than_equal": ("too_large", "must be at most {le}"),
    "string_too_short": ("too_short", "must have at least {min_length} character(s)"),
    "string_too_long": ("too_long", "must have at most {max_length} characters"),
    "too_short": ("too_short", "must have at least {min_length} item(s)"),
    "too_long": ("too_long", "must have at most {max_length} items"),
    "timezone_aware": ("no_offset", "needs an offset, such as '2026-11-01T00:00:00+07:00' or a 'Z'"),
}

#: What a pattern asks for, by the last name in the path that is not a place in a list.
_PATTERNS: Final = {
    "key": _SLUG,
    "placement": _SLUG,
    "tags": _SLUG,
    "name": "must hold a visible character",
    "from": "write a time from '00:00' to '23:59'",
    "to": "write a time from '00:00' to '24:00'",
    "attribute": "use platform, app_version, locale, country, or attr.<name> "
    "with letters, digits, '_', '.' and '-'",
}


def invalid_fields(error: ValidationError) -> ProblemError:
    """422 with `errors: [{"field": "caps.0.limit", "code": …, "detail": …}]`, at most 50 of them."""
    errors = error.errors(include_url=False, include_input=False)
    return invalid([_field_error(each) for each in errors[:MAX_ERRORS]], total=len(errors))


def invalid_field(field: str, code: str, detail: str) -> ProblemError:
    """422 for one field."""
    return invalid([{"field": field, "code": code, "detail": detail}], total=1)


def invalid(errors: list[dict[str, str]], *, total: int) -> ProblemError:
    first = errors[0]
    more = f" (and {total - 1} more: see errors)" if total > 1 else ""
    return ProblemError(INVALID, f"{first['field'] or 'the body'}: {first['detail']}{more}", errors=errors)


def _field_error(error: Any) -> dict[str, str]:
    names = [str(part) for part in error["loc"] if part != "[key]"]
    kind, context = error["type"], error.get("ctx", {})
    pattern = _PATTERNS.get(_pattern_name(error["loc"]))
    if kind == "value_error":
        code, detail = "not_allowed", str(context["error"])
    elif kind == "string_pattern_mismatch" and pattern is not None:
        code, detail = "wrong_form", pattern
    elif kind in _REMEDIES:
        code, remedy = _REMEDIES[kind]
        detail = remedy.format_map(context)
    else:
        code, detail = kind, error["msg"]
    return {"field": ".".join(names)[:MAX_NAME_CHARACTERS], "code": code, "detail": detail}


def _pattern_name(location: tuple[int | str, ...]) -> str:
    """Of a name that is itself at fault, which "[key]" follows, the object that it stands in."""
    names = location[:-2] if location and location[-1] == "[key]" else location
    return next((name for name in reversed(names) if isinstance(name, str)), "")
