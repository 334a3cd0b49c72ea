"""HTML as text: what comes from outside is escaped, and `code` is all that descriptions have of Markdown."""

import re
from html import escape
from typing import Final

_CODE: Final = re.compile(r"`([^`]+)`")


def text(words: str) -> str:
    """One line of a description."""
    return _CODE.sub(r"<code>\1</code>", escape(words))


def paragraphs(words: str) -> str:
    return "".join(f"<p>{text(each)}</p>" for each in words.strip().split("\n\n") if each)


def code(words: object) -> str:
    return f"<code>{escape(str(words))}</code>"


def listing(words: str) -> str:
    """Can be scrolled with the keyboard, too."""
    return f'<pre tabindex="0"><code>{escape(words)}</code></pre>'


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells are HTML; on a narrow screen each shows its heading."""
    heads = "".join(f'<th scope="col">{each}</th>' for each in head)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-head="{name}">{cell}</td>' for name, cell in zip(head, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
