"""Targeting trees, evaluated on the raw JSON."""

import re
from collections.abc import Mapping
from functools import cmp_to_key
from typing import Any, Final

from tests.oracle.documents import Document

_VERSION: Final = re.compile(r"(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def matches(node: Document | None, attributes: Mapping[str, str]) -> bool:
    if node is None:
        return True
    if "all" in node:
        return all(matches(each, attributes) for each in node["all"])
    if "any" in node:
        return any(matches(each, attributes) for each in node["any"])
    if "not" in node:
        return not matches(node["not"], attributes)
    return _condition(node, attributes.get(node["attribute"]))


def _condition(node: Document, text: str | None) -> bool:
    op: str = node["op"]
    if text is not None and node["attribute"] == "app_version" and _version(text) is None and op != "prefix":
        text = None  # one that can't be read counts as missing
    if op == "exists":
        return (text is not None) is node.get("value", True)
    return op == "ne" if text is None else _compare(node, op, text, node["value"])


def _compare(node: Document, op: str, text: str, value: Any) -> bool:
    if op == "prefix":
        return text.startswith(value)
    if op in ("in", "not_in"):
        return any(_equal(node, text, each) for each in value) is (op == "in")
    if op in ("eq", "ne"):
        return _equal(node, text, value) is (op == "eq")
    return _in_order(node, op, text, value)


def _equal(node: Document, text: str, value: Any) -> bool:
    left, right = _comparable(node, text, value)
    return left is not None and bool(left == right)


def _in_order(node: Document, op: str, text: str, value: Any) -> bool:
    left, right = _comparable(node, text, value)
    if left is None:
        return False
    if op in ("gt", "gte"):
        return bool(left > right if op == "gt" else left >= right)
    return bool(left < right if op == "lt" else left <= right)


def _comparable(node: Document, text: str, value: Any) -> tuple[Any, Any]:
    """Both sides as versions, numbers or texts; None for a text that is none of the kind."""
    if node["attribute"] == "app_version":
        return _version(text), _version(value)
    if isinstance(value, str):
        return text, value
    return (float(text) if _NUMBER.fullmatch(text) else None), float(value)


def _version(text: str) -> Any:
    """Something that sorts as versions do; None if it is no version."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return cmp_to_key(_compare_versions)((numbers, found[2]))


def _compare_versions(left: tuple[list[int], str | None], right: tuple[list[int], str | None]) -> int:
    if left[0] != right[0]:
        return -1 if left[0] < right[0] else 1
    if left[1] is None or right[1] is None:  # what is out comes after its candidates
        return (left[1] is None) - (right[1] is None)
    one, other = (_identifiers(text) for text in (left[1], right[1]))
    return (one > other) - (one < other)


def _identifiers(text: str) -> list[tuple[int, int, str]]:
    """As in semantic versions: numbers before texts."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in text.split(".")]
