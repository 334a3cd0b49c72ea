"""An explanation for people: a table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from typing import Any, Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES: Final = {"shown": "green", "outranked": "yellow"}
_REFUSED: Final = "red"
#: Below so many columns the table leaves out what the text says too.
_ALL_COLUMNS: Final = 100

Document = dict[str, Any]


def print_explanation(answer: Document, stream: TextIO) -> None:
    console = Console(file=stream, markup=False, highlight=False, soft_wrap=not stream.isatty())
    for line in _head(answer):
        console.print(line)
    if console.is_terminal:
        console.print(_table(answer["campaigns"], console.width))
        return
    for campaign in answer["campaigns"]:
        for line in _lines(campaign):
            console.print(line)


def _head(answer: Document) -> Iterator[str]:
    shown = ", ".join(answer["popups"]) or "nothing"
    yield f"{answer['user_id']} at {answer['placement']}, {answer['at']}: {shown}"
    merged = (
        f"counts of {answer['age_seconds']:.1f} s ago (as of {answer['as_of']}, from the {answer['source']})"
    )
    yield f"{merged}, and {answer['pending_events']} events that are not merged yet"
    if answer["test_user"]:
        yield "a test user: never held out, and nothing counts"
    if answer["globally_held_out"]:
        yield "in the global holdout: sees only campaigns that are exempt"


def _table(campaigns: list[Document], width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("campaign", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    wide = width >= _ALL_COLUMNS
    if wide:
        table.add_column("variant", no_wrap=True)
        table.add_column("seen", justify="right", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    for campaign in campaigns:
        verdict = campaign["verdict"]
        cells: list[str | Text] = [_rank(campaign), campaign["campaign"]]
        cells.append(Text(verdict, style=_STYLES.get(verdict, _REFUSED)))
        if wide:
            cells += [campaign["variant"] or "", _seen(campaign)]
        table.add_row(*cells, Text("\n".join(_why(campaign))))
    return table


def _lines(campaign: Document) -> Iterator[str]:
    first, *others = [*_why(campaign)] or [""]
    place = f"{_rank(campaign)}. " if campaign["rank"] else ""
    variant = f" (variant {campaign['variant']})" if campaign["variant"] else ""
    yield f"{place}{campaign['campaign']}: {campaign['verdict']}{variant}{f': {first}' if first else ''}"
    for other in others:
        yield f"    {other}"


def _why(campaign: Document) -> Iterator[str]:
    if campaign["verdict"] == "shown":
        yield str(campaign["order"]["why"])
    for number, reason in enumerate(campaign["reasons"]):
        yield f"also {reason['code']}: {reason['text']}" if number else str(reason["text"])
    again = campaign["again_from"]
    if again is not None and len(campaign["reasons"]) > 1:
        yield f"all of it passes from {again['local']}"


def _rank(campaign: Document) -> str:
    return "" if campaign["rank"] is None else str(campaign["rank"])


def _seen(campaign: Document) -> str:
    return "" if campaign["counts"] is None else f"{campaign['counts']['impressions']:,}"
