"""The query string of `GET /v1/popups`, as the engine takes it."""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from api import errors
from api.campaigns.catalog import Context
from api.errors import ProblemError

LIMIT_DEFAULT: Final = 5
LIMIT_MAX: Final = 20
_ATTRIBUTES: Final = frozenset(("platform", "app_version", "locale", "country"))
_ATTRIBUTES_MAX: Final = 32
_VALUE_MAX_CHARACTERS: Final = 256
_PARAMETERS_MAX: Final = 64
#: Bounds the memory for query strings; an app sends few different ones.
_REMEMBERED_MAX: Final = 10_000


def context_parser() -> Callable[[str], Context]:
    """A parser that remembers: equal query strings give the same Context. Raises ProblemError (400)."""
    remembered: dict[str, Context] = {}

    def parse(query: str) -> Context:
        context = remembered.get(query)
        if context is None:
            context = parse_context(query)
            if len(remembered) >= _REMEMBERED_MAX:
                remembered.clear()
            remembered[query] = context
        return context

    return parse


def parse_context(query: str) -> Context:
    parameters = _parameters(query)
    placement = parameters.get("placement", "")
    if not placement:
        raise _wrong("placement", "is missing: name the place in the app, such as placement=home")
    attributes = {
        name: value for name, value in parameters.items() if name in _ATTRIBUTES or name.startswith("attr.")
    }
    if len(attributes) > _ATTRIBUTES_MAX:
        raise _wrong("attr", f"at most {_ATTRIBUTES_MAX} attributes can be sent")
    return Context(placement, attributes, _limit(parameters.get("limit")))


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS_MAX)
    except ValueError as error:
        raise ProblemError(
            errors.BAD_PARAMETER, f"The query string is not UTF-8 or has over {_PARAMETERS_MAX} parameters."
        ) from error
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise _wrong(name[:_VALUE_MAX_CHARACTERS], "is given twice: send it once")
        if len(value) > _VALUE_MAX_CHARACTERS:
            raise _wrong(name[:_VALUE_MAX_CHARACTERS], f"is longer than {_VALUE_MAX_CHARACTERS} characters")
        parameters[name] = value
    return parameters


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if text.isascii() and text.isdigit() and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    raise _wrong("limit", f"must be a whole number from 1 to {LIMIT_MAX}")


def _wrong(name: str, detail: str) -> ProblemError:
    return ProblemError(errors.BAD_PARAMETER, f"{name} {detail}", parameter=name)
