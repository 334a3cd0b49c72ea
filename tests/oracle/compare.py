"""Oracle and engine on one case: where do they differ, and what does the case exercise?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from tests.oracle.cases import Case, situation
from tests.oracle.decide import Verdicts, decide
from tests.oracle.documents import Document
from tests.oracle.engine import Engine, EngineDraws, Outcome

Told = tuple[str, datetime | None]

_OUTRANKED: Final = "outranked"
_BUDGET: Final = ("out_of_budget", "paced")


def disagreements(case: Case, coverage: Counter[str] | None = None) -> list[str]:
    """Empty if the engine decides each step as the oracle does."""
    engine = Engine(case)
    found = []
    for number, step in enumerate(case["steps"]):
        expected = decide(situation(case, step, EngineDraws()))
        if coverage is not None:
            coverage.update(exercised(case, step, expected))
        found += [f"step {number}: {text}" for text in _differences(case, step, expected, engine.play(step))]
    return found


def _differences(case: Case, step: Case, expected: Verdicts, outcome: Outcome) -> Iterator[str]:
    for name in ("chosen", "ghosts", "ranking"):
        said, told = getattr(expected, name), getattr(outcome, name)
        if said != told:
            yield f"{name}: the oracle says {said}, the engine {told}"
    now = datetime.fromisoformat(step["now"])
    for campaign in case["campaigns"]:
        number = campaign["id"]
        verdict = expected.of[number]
        # The engine looks at no campaign behind the last priority that it needs.
        counted = outcome.reasons.get(number)
        if counted not in (None, _OUTRANKED, verdict.first):
            yield f"campaign {number}: the oracle says {verdict.codes}, the engine counts {counted}"
        if campaign["status"] == "live":
            said = [(rule.code, rule.until(now)) for rule in verdict.rules]
            told = outcome.explained[number]
            if _comparable(said) != _comparable(told):
                yield f"campaign {number}: the oracle says {_written(said)}, the engine {_written(told)}"
            elif verdict.rules and _can_be_told(campaign):
                again = verdict.again(now)
                if again != outcome.again[number]:
                    yield f"campaign {number}: again {again}, the engine says {outcome.again[number]}"


def _comparable(rules: Sequence[Told]) -> list[Told]:
    """The engine tells one thing about a budget; when a pace lets it go on is a matter of microseconds."""
    budget = [told for told in rules if told[0] in _BUDGET]
    others = [told for told in rules if told not in budget[1:]]
    return [(code, None if code == "paced" else until) for code, until in others]


def _can_be_told(campaign: Document) -> bool:
    """A process knows nothing of the units of a hard budget that it will have another day."""
    budget = campaign["budget"]
    return budget is None or (budget["pacing"] == "asap" and not budget["hard"])


def _written(rules: Sequence[Told]) -> str:
    return ", ".join(f"{code} until {until}" for code, until in rules)


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
