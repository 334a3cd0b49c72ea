"""Lists in pages, all of them alike: `?limit=&cursor=`, `next_cursor`, and a Link to the next page.

A cursor is the place of the last row of its page, in an order that no insert changes: whatever comes
meanwhile, no row comes twice, and none that was there from the first page to the last is left out.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from api.admin.body import integer_parameter, parameter, wrong_parameter
from api.admin.documents import answer

DEFAULT_ROWS: Final = 50
MAX_ROWS: Final = 200
_CURSOR_MAX_CHARACTERS: Final = 1024

#: The place of a row: an id that is a number, or a text.
Place = int | str


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked for: `rows` to look for are one more than its limit, which tells if another follows."""

    list: str
    limit: int
    after: Place | None

    @property
    def rows(self) -> int:
        return self.limit + 1


def asked_page(request: web.Request, name: str, check: Callable[[Any], bool]) -> Page:
    """`name` is the list's; `check` says whether a value can be a place in it. Raises ProblemError 400."""
    limit = integer_parameter(request, "limit", DEFAULT_ROWS, range(1, MAX_ROWS + 1))
    text = parameter(request, "cursor", "")
    return Page(name, limit, _place(text, name, check) if text else None)


def ids_to(max_id: int) -> Callable[[Any], bool]:
    """For lists whose rows have a number as their place."""
    # A text is looked for in a range one number after the other.
    return lambda place: isinstance(place, int) and 1 <= place <= max_id


def page_answer(
    request: web.Request,
    page: Page,
    rows: Sequence[Any],
    document: Callable[[Any], dict[str, Any]],
    *,
    place: str,
) -> web.Response:
    """{<name of the list>: […], "next_cursor": text, or null at the end}. `place` is the rows' column."""
    told = rows[: page.limit]
    following = cursor(page.list, told[-1][place]) if len(rows) > page.limit else None
    headers = {}
    if following is not None:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=following)}>; rel="next"'
    return answer({page.list: [document(row) for row in told], "next_cursor": following}, headers=headers)


def cursor(name: str, place: Place) -> str:
    text = json.dumps([name, place], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(text: str, name: str, check: Callable[[Any], bool]) -> Place:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        of, place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if len(text) <= _CURSOR_MAX_CHARACTERS and of == name and _is_place(place) and check(place):
            return place  # type: ignore[no-any-return]  # _is_place
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise wrong_parameter(
        "cursor", "is none of this list: send next_cursor of the page before as it is, or leave it out"
    )


def _is_place(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)
