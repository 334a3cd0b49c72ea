"""What a user id is: the `sub` of a user's JWT, and a line of an audience file."""

import re
from typing import Final

from api.tokens import MAX_USER_ID_BYTES
from buffer.contract import USER_ID_MAX_CHARACTERS

# Control characters, of which PostgreSQL can't keep NUL, and halves of surrogate pairs, which UTF-8 can't.
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def user_id_problem(text: str) -> str | None:
    """What keeps `text` from being a user id, with the remedy ("is empty: …"); None if it is one.

    The text itself is never part of the answer: it may be a stranger's.
    """
    if 0 < len(text) <= USER_ID_MAX_CHARACTERS and text.isascii() and text.isprintable():
        return None  # nearly all, and a third of the time
    if not text:
        return f"is empty: give 1 to {USER_ID_MAX_CHARACTERS} characters"
    if len(text) > USER_ID_MAX_CHARACTERS:
        return f"has {len(text)} characters: shorten it to {USER_ID_MAX_CHARACTERS}"
    if found := _FORBIDDEN.search(text):
        return f"contains U+{ord(found[0]):04X}, which is no character to write with: remove it"
    size = len(text.encode())
    if size > MAX_USER_ID_BYTES:
        return f"takes {size} bytes in UTF-8: shorten it to {MAX_USER_ID_BYTES}"
    return None
