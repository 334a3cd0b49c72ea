"""What of a document in Markdown tests read: blocks of JSON, and tables."""

import json
import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

_FENCE: Final = re.compile(r"```json ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of JSON; `kind` is the word after `json`, if there is one."""

    line: int
    kind: str
    value: Any


@dataclass(frozen=True)
class Table:
    line: int
    head: list[str]
    rows: list[list[str]]


def blocks(text: str) -> list[Block]:
    return [
        Block(text.count("\n", 0, found.start()) + 1, found[1], json.loads(found[2]))
        for found in _FENCE.finditer(text)
    ]


def tables(text: str) -> list[Table]:
    """Tables of two rows and more: the first is the head."""
    found = []
    numbered = enumerate(text.splitlines(), start=1)
    for in_table, lines in groupby(numbered, key=lambda line: line[1].startswith("|")):
        if in_table:
            (first, head), _rule, *rows = lines
            found.append(Table(first, _cells(head), [_cells(row) for _, row in rows]))
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
