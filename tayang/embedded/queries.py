"""The statements of this package, by name."""

from functools import cache
from pathlib import Path
from typing import LiteralString


@cache
def query(name: str) -> LiteralString:
    """The text of `sql/NAME.sql`."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")
