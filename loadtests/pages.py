"""Pages of docs/ that a command writes a part of; around it people write."""

from collections.abc import Sequence
from pathlib import Path

from loadtests.service import BenchError


def fill(page: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between the two lines. Raises BenchError if the page lacks them."""
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise BenchError(f"{page} has no lines {begin!r} and {end!r}: put them where the tables should stand")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of Markdown, an empty one after them: the head first; all columns but the first are figures."""
    head, *others = rows
    lines = [head, [":---", *["---:"] * (len(head) - 1)], *others]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]
