"""The query string of `GET /v1/admin/explain`: that of `GET /v1/popups`, and whom and when it is about."""

from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError

from api.campaigns.fields import Instant
from api.campaigns.windows import to_us
from api.errors import BAD_PARAMETER, ProblemError
from api.http.context import Query, context_parser
from api.users import user_id_problem

_INSTANT: Final = TypeAdapter(Instant)


class Question(NamedTuple):
    """`at_us` is None for now; `campaign` is a key or an id."""

    user_id: str
    query: Query
    at_us: int | None
    campaign: str | None


def parse_question(query: str) -> Question:
    """Raises ProblemError (400) that names the parameter."""
    asked = context_parser()(query)  # remembers nothing: hardly two are the same
    own = dict(parse_qsl(query, keep_blank_values=True))
    user_id = own.get("user_id")
    if user_id is None:
        raise _wrong("user_id", "is missing: name the user, as the `sub` of his JWT")
    if (problem := user_id_problem(user_id)) is not None:
        raise _wrong("user_id", problem)
    at = own.get("at")
    campaign = own.get("campaign")
    if campaign is not None and (not campaign or "\0" in campaign):
        raise _wrong("campaign", "must be the key or the id of a campaign")
    return Question(user_id, asked, None if at is None else _instant_us(at), campaign)


def _instant_us(text: str) -> int:
    try:
        return to_us(_INSTANT.validate_python(text))
    except ValidationError:
        raise _wrong(
            "at",
            "must be a date, a time and an offset, such as 2026-11-23T00:00:00Z or "
            "2026-11-23T00:00:00+07:00 (in a query string + is written %2B)",
        ) from None


def _wrong(name: str, detail: str) -> ProblemError:
    return ProblemError(BAD_PARAMETER, f"{name} {detail}", parameter=name)
