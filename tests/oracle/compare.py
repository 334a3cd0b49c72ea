"""Oracle and engine on one case: where do they differ, and what does the case exercise?"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tests.oracle.cases import Case, situation
from tests.oracle.decide import Verdicts, decide
from tests.oracle.engine import Engine, EngineDraws, Outcome

_OUTRANKED: Final = "outranked"


def disagreements(case: Case, coverage: Counter[str] | None = None) -> list[str]:
    """Empty if the engine decides each step as the oracle does."""
    engine = Engine(case)
    found = []
    for number, step in enumerate(case["steps"]):
        expected = decide(situation(case, step, EngineDraws()))
        if coverage is not None:
            coverage.update(exercised(case, step, expected))
        found += [f"step {number}: {text}" for text in _differences(case, expected, engine.play(step))]
    return found


def _differences(case: Case, expected: Verdicts, outcome: Outcome) -> Iterator[str]:
    if outcome.chosen != expected.chosen:
        yield f"shown: the oracle says {expected.chosen}, the engine {outcome.chosen}"
    if outcome.ghosts != expected.ghosts:
        yield f"ghosts: the oracle says {expected.ghosts}, the engine {outcome.ghosts}"
    for campaign in case["campaigns"]:
        number = campaign["id"]
        # The engine looks at no campaign behind the last priority that it needs.
        told = outcome.reasons.get(number)
        first = expected.of[number].first
        if told not in (None, _OUTRANKED, first):
            yield f"campaign {number}: the oracle says {expected.of[number].codes}, the engine counts {told}"


def exercised(case: Case, step: Case, verdicts: Verdicts) -> Iterator[str]:
    """Names of what a step has tried; `first` and `any` are about codes."""
    yield "decisions"
    for number, verdict in verdicts.of.items():
        yield f"first {'shown' if verdict.first is None else verdict.first}"
        yield from {f"any {code}" for code in verdict.codes}
        del number
    for campaign in case["campaigns"]:
        yield "campaigns"
        yield from (f"window {cap['window']}" for cap in campaign["caps"])
        yield from (f"op {op}" for op in _operators(campaign["targeting"]))
    yield from (f"policy window {cap['window']}" for cap in case["policy"]["caps"])
    yield f"session {step['request']['session'] is not None}"
    yield f"tz {step['request']['tz'] is not None}"


def _operators(node: Any) -> Iterator[str]:
    if node is None:
        return
    if "op" in node:
        yield node["op"]
    for name in ("all", "any", "not"):
        if name in node:
            yield name
            children = node[name] if isinstance(node[name], list) else [node[name]]
            for child in children:
                yield from _operators(child)
