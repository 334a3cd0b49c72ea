"""Conditions of the targeting in plain English."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from api.campaigns.targeting import AllOf, AnyOf, Condition, Node, Not

#: So many values of a list are named.
_NAMED: Final = 5
_ORDERED: Final = {"gte": "{} or higher", "gt": "higher than {}", "lte": "{} or lower", "lt": "lower than {}"}


def condition_words(node: Node) -> str:
    """Such as "platform = android or ios", "(country = ID or country = MY)", "not (…)"."""
    if isinstance(node, Condition):
        return _WORDS[node.op](node.attribute, node.value)
    if isinstance(node, Not):
        return f"not ({condition_words(node.node)})"
    return _joined(node)


def given_words(given: Mapping[str, str | None]) -> str:
    """What the request says of some attributes: "platform = web, no country"."""
    parts = [f"no {name}" if value is None else f"{name} = {value}" for name, value in given.items()]
    return ", ".join(parts)


def _joined(node: AllOf | AnyOf) -> str:
    parts = [condition_words(child) for child in node.nodes]
    if len(parts) == 1:
        return parts[0]
    return f"({(' and ' if isinstance(node, AllOf) else ' or ').join(parts)})" if parts else "nothing"


def _one_of(values: Sequence[Any]) -> str:
    named = [_value(value) for value in values[:_NAMED]]
    if len(values) > _NAMED:
        return f"{', '.join(named)} or one of {len(values) - _NAMED} more"
    return " or ".join(([", ".join(named[:-1])] if named[1:] else []) + named[-1:])


def _value(value: Any) -> str:
    return "(empty)" if value == "" else str(value)


def _ordered(pattern: str) -> Callable[[str, Any], str]:
    return lambda name, value: f"{name} {pattern.format(value)}"


_WORDS: Final[dict[str, Callable[[str, Any], str]]] = {
    "eq": lambda name, value: f"{name} = {_value(value)}",
    "ne": lambda name, value: f"{name} other than {_value(value)}",
    "in": lambda name, values: f"{name} = {_one_of(values)}",
    "not_in": lambda name, values: f"{name} other than {_one_of(values)}",
    "prefix": lambda name, value: f"{name} beginning with {value}",
    "exists": lambda name, value: f"no {name}" if value is False else f"any {name}",
    **{op: _ordered(pattern) for op, pattern in _ORDERED.items()},
}
