"""Chaos while it runs and at its end: a bar on a terminal, plain lines elsewhere, and one table."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.adversity.chaos.rounds import Outcome

_FILE_COLUMNS: Final = 130
_COLUMNS: Final = (
    "rounds",
    "sent",
    "acked",
    "counted",
    "lost",
    "doubled",
    "unsent",
    "sent again",
    "no 202",
    "failed",
)


class Display:
    """Use it as a context; `step` before a round and `add` after it."""

    def __init__(self, console: Console, rounds: int) -> None:
        self._console = console
        self._rounds = rounds
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=rounds)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def step(self, text: str) -> None:
        self._bar.update(self._task, description=text)
        if not self._console.is_terminal and text == "starting":
            self._console.print(text)

    def add(self, outcome: Outcome) -> None:
        self._bar.advance(self._task)
        if not self._console.is_terminal or not outcome.passed:
            self._bar.console.print(line(outcome, self._rounds), markup=False, soft_wrap=True)
        if not outcome.passed:
            self._bar.console.print(diagnosis(outcome), markup=False, soft_wrap=True)


def line(outcome: Outcome, rounds: int) -> str:
    """One round on one line, and what is wrong below it."""
    seen = outcome.round
    text = (
        f"{seen.number:>3}/{rounds} {'ok    ' if outcome.passed else 'FAILED'} {outcome.seconds:4.1f} s  "
        f"{seen.attack}: {outcome.detail}; {outcome.sent} sent, {outcome.acknowledged} acknowledged, "
        f"{outcome.primary.counted} counted, {outcome.rows_sent_again} rows sent again"
    )
    return "\n".join([text, *(f"        {complaint}" for complaint in outcome.complaints)])


def diagnosis(outcome: Outcome) -> str:
    return "\n".join(f"        | {text}" for text in outcome.diagnosis.splitlines())


def print_summary(console: Console, outcomes: Sequence[Outcome], *, seed: int, planned: int) -> None:
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_footer=True)
    total = figures(outcomes)
    table.add_column("attack", footer="all", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, footer=f"{total[name]:,}", justify="right", no_wrap=True)
    for attack in sorted({outcome.round.attack for outcome in outcomes}):
        row = figures([outcome for outcome in outcomes if outcome.round.attack == attack])
        table.add_row(attack, *(f"{row[name]:,}" for name in _COLUMNS))
    console.print(table)
    for outcome in outcomes:
        if not outcome.passed:
            console.print(line(outcome, planned), markup=False, soft_wrap=True, style="red")
    console.print(_verdict(outcomes, seed, planned))


def as_json(outcomes: Sequence[Outcome], *, seed: int, planned: int) -> str:
    rounds = [
        {
            "round": outcome.round.number,
            "attack": outcome.round.attack,
            "detail": outcome.detail,
            "seconds": round(outcome.seconds, 2),
            **{name: value for name, value in figures([outcome]).items() if name != "rounds"},
            "troubles": dict(outcome.troubles),
            "complaints": outcome.complaints,
            "diagnosis": outcome.diagnosis,
        }
        for outcome in outcomes
    ]
    passed = len(outcomes) == planned and all(outcome.passed for outcome in outcomes)
    document = {"seed": seed, "planned": planned, "passed": passed, "total": figures(outcomes)}
    return json.dumps({**document, "rounds": rounds})


def figures(outcomes: Sequence[Outcome]) -> Counter[str]:
    """The columns of the table, summed. Losses are the worse of both servers'."""
    total: Counter[str] = Counter(dict.fromkeys(_COLUMNS, 0))
    for outcome in outcomes:
        total.update(_figures(outcome))
    return total


def _figures(outcome: Outcome) -> dict[str, Any]:
    both = (outcome.primary, outcome.replica)
    return {
        "rounds": 1,
        "sent": outcome.sent,
        "acked": outcome.acknowledged,
        "counted": outcome.primary.counted,
        "lost": max(each.lost for each in both),
        "doubled": max(each.doubled for each in both),
        "unsent": max(each.unsent for each in both),
        "sent again": outcome.rows_sent_again,
        "no 202": outcome.troubles.total(),
        "failed": int(not outcome.passed),
    }


def _verdict(outcomes: Sequence[Outcome], seed: int, planned: int) -> str:
    failed = sum(not outcome.passed for outcome in outcomes)
    if failed:
        alone = f"--seed {seed} --rounds {planned} --round NUMBER"
        return f"{failed} of {len(outcomes)} rounds failed (seed {seed}). One of them alone: {alone}"
    if len(outcomes) < planned:
        return f"Stopped after {len(outcomes)} of {planned} rounds, all of them passed (seed {seed})."
    return f"{planned} rounds passed (seed {seed}): nothing acknowledged was lost, nothing was counted twice."
