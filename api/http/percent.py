"""Whether a path or a query string says what it says: libraries read %zz and %FF in ways of their own."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

from api import errors
from api.errors import ProblemError

_NO_BYTE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME_MAX_CHARACTERS: Final = 100


def percent_problem(text: str) -> str | None:
    """What is wrong with the encoding, and the remedy; None: nothing."""
    if "%" not in text:
        return None
    if _NO_BYTE.search(text) is not None:
        return "has a % without two hex digits after it: write %25"
    try:
        unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return "is not UTF-8: encode it as UTF-8, then each byte as %XX"
    return None


def check_query(query: str) -> None:
    """Raises ProblemError 400 that names the parameter."""
    if percent_problem(query) is None:
        return
    for pair in query.split("&"):
        if (problem := percent_problem(pair)) is not None:
            name = pair.partition("=")[0][:_NAME_MAX_CHARACTERS]
            raise ProblemError(errors.BAD_PARAMETER, f"{name} {problem}", parameter=name)


def check_url(request: web.Request) -> None:
    """Raises ProblemError 400."""
    url = request.rel_url
    check_query(url.raw_query_string)
    if (problem := percent_problem(url.raw_path)) is not None:
        raise ProblemError(errors.BAD_REQUEST, f"the path {problem}")
