"""JSON objects that mean the same to every reader."""

import json
from typing import Any, NoReturn


def strict_object(data: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8, of which no name is given twice. Raises ValueError, RecursionError.

    RFC 8259 leaves open what a doubled name means, so a token's issuer, a gateway and we could each read
    another user in it. NaN and Infinity are Python's, not JSON.
    """
    document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  (as all that is wrong with it)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name is given twice")
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
