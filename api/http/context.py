"""The query string of `GET /v1/popups`, as the engine takes it."""

import re
from collections.abc import Callable
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_plus
from zoneinfo import ZoneInfo

from api import errors
from api.campaigns.catalog import Context
from api.campaigns.fields import zone_names
from api.errors import ProblemError
from api.http.percent import check_query, percent_problem

LIMIT_DEFAULT: Final = 5
LIMIT_MAX: Final = 20
_ATTRIBUTES: Final = frozenset(("platform", "app_version", "locale", "country"))
_ATTRIBUTES_MAX: Final = 32
_VALUE_MAX_CHARACTERS: Final = 256
_PARAMETERS_MAX: Final = 64
#: Bounds the memory for query strings; an app sends few different ones.
_REMEMBERED_MAX: Final = 10_000
#: Parameters that hardly two requests share, and their most characters.
_OWN: Final = {"session": 128, "preview": 512, "user_id": 128}
_OWN_PARAMETER: Final = re.compile(r"(?:^|(?<=&))(session|preview|user_id)=([^&]*)(?:&|$)")
_OFFSET: Final = re.compile(r"(?:GMT|UTC)?([+-])(\d{1,2})(?::?([0-5]\d))?", re.ASCII)
_OFFSET_MAX: Final = timedelta(hours=14)


class Query(NamedTuple):
    """What a request for popups says. Many share a context, and no two sessions need to."""

    context: Context
    session: str = ""
    preview: str = ""


def context_parser() -> Callable[[str], Query]:
    """A parser that remembers: equal query strings give the same Context. Raises ProblemError (400)."""
    remembered: dict[str, Query] = {}

    def parse(query: str) -> Query:
        known = remembered.get(query)
        if known is not None:
            return known
        if _OWN_PARAMETER.search(query) is not None:
            return parse_apart(query)
        if len(remembered) >= _REMEMBERED_MAX:
            remembered.clear()
        known = remembered[query] = Query(parse_context(query))
        return known

    def parse_apart(query: str) -> Query:
        own = {name: own_value(query, name) for name in _OWN}
        shared = parse(_OWN_PARAMETER.sub("", query).strip("&"))
        return Query(shared.context, own["session"], own["preview"])

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
    return Context(placement, attributes, _limit(parameters.get("limit")), _zone(parameters.get("tz")))


def own_value(query: str, name: str) -> str:
    """Of a parameter that hardly two requests share."""
    values = [match[2] for match in _OWN_PARAMETER.finditer(query) if match[1] == name]
    if len(values) > 1:
        raise _wrong(name, "is given twice: send it once")
    if not values:
        return ""
    if (problem := percent_problem(values[0])) is not None:
        raise _wrong(name, problem)
    value = unquote_plus(values[0], errors="strict")
    if len(value) > _OWN[name]:
        raise _wrong(name, f"is longer than {_OWN[name]} characters")
    return value


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    zone = zone_of(text)
    if zone is None:
        raise _wrong("tz", "must be a time zone such as Asia/Jakarta, or an offset such as +07:00 (%2B07:00)")
    return zone


@lru_cache(maxsize=2048)
def zone_of(text: str) -> tzinfo | None:
    """An IANA name, or an offset as phones write it: +07:00, GMT+7, UTC+07:00. None if it is neither."""
    if text in zone_names() and text != "localtime":
        return ZoneInfo(text)
    match = _OFFSET.fullmatch(text)
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    if offset > _OFFSET_MAX:
        return None
    return timezone(-offset if match[1] == "-" else offset)


def _parameters(query: str) -> dict[str, str]:
    check_query(query)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS_MAX)
    except ValueError as error:
        raise ProblemError(
            errors.BAD_PARAMETER, f"The query string has over {_PARAMETERS_MAX} parameters: send fewer."
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
