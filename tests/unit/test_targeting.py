"""What a tree matches, and what is no tree: a table, and an interpreter that does everything the slow way."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.campaigns.targeting import (
    Targeting,
    compile_targeting,
    parse_number,
    parse_version,
    targeting_parts,
)

TREE: TypeAdapter[Any] = TypeAdapter(Targeting)

REQUEST = {
    "platform": "android",
    "app_version": "5.10.0",
    "locale": "id-ID",
    "country": "ID",
    "attr.tier": "gold",
    "attr.age": "30",
    "attr.empty": "",
}


def matches(tree: Any, attributes: dict[str, str]) -> bool:
    return compile_targeting(targeting_parts(TREE.validate_python(tree)))(attributes)


def condition(attribute: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"attribute": attribute, "op": op, "value": value}


# Well formed, but longer than what is kept in the cache.
TOO_LONG = ".".join(["123456789"] * 8) + "-" + "a" * 32 + "+" + "b" * 32

YES, NO = condition("platform", "eq", "android"), condition("platform", "eq", "ios")


@pytest.mark.parametrize(
    ("attribute", "op", "value", "expected"),
    [
        ("platform", "eq", "android", True),
        ("platform", "eq", "Android", False),
        ("platform", "ne", "ios", True),
        ("platform", "ne", "android", False),
        ("platform", "in", ["ios", "android"], True),
        ("platform", "in", ["ios"], False),
        ("platform", "not_in", ["ios"], True),
        ("platform", "not_in", ["ios", "android"], False),
        ("locale", "prefix", "id", True),
        ("locale", "prefix", "en", False),
        ("country", "exists", None, True),
        ("country", "exists", True, True),
        ("country", "exists", False, False),
        ("attr.empty", "exists", True, True),
        ("attr.empty", "eq", "", True),
        # Versions by number, not by letter.
        ("app_version", "gt", "5.9", True),
        ("app_version", "gte", "5.10", True),
        ("app_version", "lte", "5.10.0.0", True),
        ("app_version", "gt", "5.10", False),
        ("app_version", "lt", "5.10.1", True),
        ("app_version", "gt", "5.10.0-rc1", True),
        ("app_version", "eq", "5.10", True),
        ("app_version", "ne", "5.10", False),
        ("app_version", "in", ["4.0", "5.10"], True),
        ("app_version", "not_in", ["4.0", "5.10"], False),
        ("app_version", "prefix", "5.1", True),
        ("app_version", "prefix", "5.2", False),
        ("app_version", "exists", None, True),
        # Numbers as numbers if the value is one, else as text.
        ("attr.age", "gte", 30, True),
        ("attr.age", "gt", 30, False),
        ("attr.age", "gt", 4, True),
        ("attr.age", "gt", "4", False),
        ("attr.age", "lt", 30.5, True),
        ("attr.age", "eq", 30.0, True),
        ("attr.age", "ne", 30, False),
        ("attr.age", "in", [29, 30], True),
        ("attr.age", "not_in", [29, 30], False),
        ("attr.age", "eq", "30", True),
        ("attr.age", "eq", "30.0", False),
        # A text is no number: nothing orders it, but it is there and differs.
        ("attr.tier", "gte", 0, False),
        ("attr.tier", "lte", 0, False),
        ("attr.tier", "eq", 0, False),
        ("attr.tier", "ne", 0, True),
        ("attr.tier", "not_in", [0], True),
        ("attr.tier", "lt", "silver", True),
    ],
)
def test_condition(attribute: str, op: str, value: Any, expected: bool) -> None:
    assert matches(condition(attribute, op, value), REQUEST) is expected
    assert matches({"not": condition(attribute, op, value)}, REQUEST) is not expected


@pytest.mark.parametrize("attribute", ["platform", "app_version", "attr.x"])
@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("eq", "1", False),
        ("ne", "1", True),
        ("in", ["1"], False),
        ("not_in", ["1"], False),
        ("prefix", "1", False),
        ("exists", None, False),
        ("exists", True, False),
        ("exists", False, True),
    ],
)
def test_missing_attribute(attribute: str, op: str, value: Any, expected: bool) -> None:
    assert matches(condition(attribute, op, value), {}) is expected
    assert matches({"not": condition(attribute, op, value)}, {}) is not expected


@pytest.mark.parametrize("op", ["gte", "lte", "gt", "lt"])
@pytest.mark.parametrize(("attribute", "value"), [("app_version", "1"), ("attr.x", "1"), ("attr.x", 1)])
def test_missing_attribute_has_no_order(attribute: str, op: str, value: Any) -> None:
    assert not matches(condition(attribute, op, value), {})


@pytest.mark.parametrize(
    "version", ["", "five", "5.", ".5", "5..1", "v5.2", "5.2 (120)", "\u0665.\u0662", "1" * 200, TOO_LONG]
)
def test_unreadable_version_counts_as_missing(version: str) -> None:
    attributes = {"app_version": version}
    assert parse_version(version) is None
    assert not matches(condition("app_version", "exists"), attributes)
    assert not matches(condition("app_version", "gte", "0"), attributes)
    assert not matches(condition("app_version", "prefix", version[:1] or "5"), attributes)
    assert not matches(condition("app_version", "not_in", ["1"]), attributes)
    assert matches(condition("app_version", "ne", "1"), attributes)


def test_version_order() -> None:
    ascending = [
        ["0.0", "0"],
        ["4.99.99"],
        ["5-alpha"],
        ["5-alpha.2"],
        ["5-alpha.10"],
        ["5-beta"],
        ["5-rc9"],
        ["5-rc10", "5.0-RC10"],
        ["5", "5.0", "5.0.0", "5+123"],
        ["5.2.0-rc1"],
        ["5.2", "5.2.0", "5.2.0+45"],
        ["5.9"],
        ["5.10.0"],
        ["10"],
    ]
    keys = [{parse_version(text) for text in equals} for equals in ascending]
    assert [len(each) for each in keys] == [1] * len(ascending)
    in_order = [key for each in keys for key in each if key is not None]
    assert len(in_order) == len(ascending)
    assert in_order == sorted(in_order)


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1_000", " 7", "7 ", "1e3", "0x10", "", "-", ".5", "٣", "9" * 40]
)
def test_not_a_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("-7", -7), ("7.50", 7.5), ("007", 7), ("-0", 0)])
def test_number(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"all": []}, True),
        ({"all": [YES]}, True),
        ({"all": [YES, YES]}, True),
        ({"all": [YES, NO]}, False),
        ({"all": [NO, YES]}, False),
        ({"any": [YES]}, True),
        ({"any": [NO, YES]}, True),
        ({"any": [NO, NO]}, False),
        ({"not": YES}, False),
        ({"not": {"not": YES}}, True),
        ({"all": [YES, {"any": [NO, {"not": NO}]}]}, True),
        ({"all": [YES, {"not": {"all": []}}]}, False),
    ],
)
def test_tree(tree: Any, expected: bool) -> None:
    assert matches(tree, REQUEST) is expected


def test_no_tree_matches_everything() -> None:
    assert compile_targeting(targeting_parts(None))({})


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = YES
    for _ in range(depth - 1):
        tree = {"not": tree}
    return tree


BAD_CONDITIONS = [
    (condition("attr.x", "between", "1"), ("op",)),
    (condition("user", "eq", "1"), ("attribute",)),
    (condition("attr.", "eq", "1"), ("attribute",)),
    (condition("attr." + "x" * 65, "eq", "1"), ("attribute",)),
    (condition("attr.x y", "eq", "1"), ("attribute",)),
    (condition("attr.x\n", "eq", "1"), ("attribute",)),
    (condition("platform", "gte", "1"), ("op",)),
    (condition("country", "lt", "1"), ("op",)),
    (condition("platform", "eq", 1), ("value",)),
    (condition("platform", "eq", None), ("value",)),
    (condition("platform", "eq", ["a"]), ("value",)),
    (condition("platform", "eq", "a\0"), ("value",)),
    (condition("platform", "eq", "\ud800"), ("value",)),
    (condition("platform", "eq", "a" * 257), ("value",)),
    (condition("platform", "in", "a"), ("value",)),
    (condition("platform", "in", []), ("value",)),
    (condition("platform", "in", ["a"] * 1001), ("value",)),
    (condition("platform", "in", ["a", 1]), ("value",)),
    (condition("platform", "not_in", ["a", None]), ("value",)),
    (condition("platform", "not_in", ["a", "\0"]), ("value",)),
    (condition("platform", "prefix", ""), ("value",)),
    (condition("platform", "prefix", 1), ("value",)),
    (condition("platform", "prefix", "\0"), ("value",)),
    (condition("platform", "exists", "yes"), ("value",)),
    (condition("app_version", "gte", "five"), ("value",)),
    (condition("app_version", "gte", 5.2), ("value",)),
    (condition("app_version", "in", ["5.2", "x"]), ("value",)),
    (condition("attr.x", "eq", True), ("value",)),
    (condition("attr.x", "in", ["a", 1]), ("value",)),
    (condition("attr.x", "gte", float("nan")), ("value",)),
    (condition("attr.x", "gte", float("inf")), ("value",)),
    (condition("attr.x", "lt", 10**15 + 1), ("value",)),
    ({**YES, "extra": 1}, ("extra",)),
    ({**YES, "all": []}, ("attribute",)),
    ({"op": "eq", "value": "1"}, ("attribute",)),
    ({"attribute": "platform", "value": "1"}, ("op",)),
    ({"attribute": "platform", "op": "eq"}, ("value",)),
    ({"all": [], "any": [YES]}, ("any",)),
    ({"all": YES}, ("all",)),
    ({"any": []}, ("any",)),
    ({"any": [YES, 1]}, ("any", 1)),
    ({"not": None}, ("not",)),
    ({"not": [YES]}, ("not",)),
    ({}, ()),
    ([YES], ()),
    ("all", ()),
    (nested(9), ()),
    ({"all": [YES] * 200}, ()),
]


@pytest.mark.parametrize(("tree", "location"), BAD_CONDITIONS)
def test_a_bad_tree_is_refused_at_its_place(tree: Any, location: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        TREE.validate_python(tree)
    assert location in [error["loc"] for error in refused.value.errors()]


def test_the_place_deep_in_a_tree_is_named() -> None:
    tree = {"all": [YES, {"any": [{"not": condition("platform", "in", [])}]}]}
    with pytest.raises(ValidationError) as refused:
        TREE.validate_python(tree)
    assert [error["loc"] for error in refused.value.errors()] == [("all", 1, "any", 0, "not", "value")]


def test_a_bottomless_tree_is_refused_and_not_walked() -> None:
    with pytest.raises(ValidationError, match="deeper than 8"):
        TREE.validate_python(nested(50_000))


@pytest.mark.parametrize(
    "tree",
    [
        nested(8),
        {"all": [YES] * 199},
        condition("attr.x", "in", ["a" * 256] * 1000),
        condition("attr.x", "in", [10**15]),
    ],
)
def test_the_limits_themselves_are_allowed(tree: Any) -> None:
    assert TREE.dump_python(TREE.validate_python(tree)) == tree


# --- the slow way -------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "ab", "b", "3", "3.0", "10", "-1", "gold"])
VERSIONS = st.sampled_from(
    ["5", "5.0", "5.2", "5.2.0", "5.10", "5.9.1", "5.2-rc1", "5.2-rc2", "5.2-rc10", "4.9"]
)
NUMBERS = st.sampled_from([3, 3.0, 10, -1, 2.5])
NAMES = st.sampled_from(["platform", "app_version", "attr.a", "attr.b"])
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "platform": TEXTS,
        "app_version": st.one_of(VERSIONS, st.sampled_from(["", "x", "5.x"])),
        "attr.a": TEXTS,
        "attr.b": TEXTS,
    },
)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(NAMES)
    ordered = [] if name == "platform" else ["gte", "lte", "gt", "lt"]
    op = draw(st.sampled_from(["eq", "ne", "in", "not_in", "prefix", "exists", *ordered]))
    kinds = [VERSIONS] if name == "app_version" else [TEXTS] if name == "platform" else [TEXTS, NUMBERS]
    constants: st.SearchStrategy[Any] = draw(st.sampled_from(kinds))
    if op == "exists":
        return condition(name, op, draw(st.sampled_from([None, True, False])))
    if op == "prefix":
        return condition(name, op, draw(TEXTS.filter(bool)))
    return condition(name, op, draw(st.lists(constants, min_size=1, max_size=3) if "in" in op else constants))


TREES = st.recursive(
    conditions(),
    lambda nodes: st.one_of(
        st.fixed_dictionaries({"all": st.lists(nodes, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(nodes, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": nodes}),
    ),
    max_leaves=8,
)


def naive(tree: dict[str, Any], attributes: dict[str, str]) -> bool:
    if "all" in tree:
        return sum(naive(node, attributes) for node in tree["all"]) == len(tree["all"])
    if "any" in tree:
        return sum(naive(node, attributes) for node in tree["any"]) > 0
    if "not" in tree:
        return not naive(tree["not"], attributes)
    name, op, value = tree["attribute"], tree["op"], tree["value"]
    text = attributes.get(name)
    if name == "app_version" and text is not None and not re.fullmatch(r"[0-9.]+(-rc\d+)?", text):
        text = None
    if text is None:
        return op == "ne" or (op == "exists" and value is False)
    return naive_condition(name, op, value, text)


def naive_condition(name: str, op: str, value: Any, text: str) -> bool:
    if op == "exists":
        return value is not False
    if op == "prefix":
        return bool(text[: len(value)] == value)
    signs = [sign(name, text, each) for each in (value if isinstance(value, list) else [value])]
    wanted = {"gte": (0, 1), "lte": (0, -1), "gt": (1,), "lt": (-1,)}
    if op in wanted:
        return signs[0] in wanted[op]
    return (0 in signs) is (op in ("eq", "in"))


def sign(name: str, text: str, constant: Any) -> int | None:
    """-1, 0, 1 as the request's text is below, at or above the constant; None if they don't compare."""
    one: Any = text
    other: Any = constant
    if name == "app_version":
        one, other = padded(text), padded(constant)
    elif not isinstance(constant, str):
        try:
            one = float(text)
        except ValueError:
            return None
    return int(one > other) - int(one < other)


def padded(version: str) -> list[int]:
    numbers, _, candidate = version.partition("-rc")
    parts = [int(part) for part in numbers.split(".")]
    return [*parts, *[0] * (5 - len(parts)), int(candidate or 1_000)]


@settings(max_examples=800, deadline=None)
@given(tree=TREES, requests=st.lists(REQUESTS, min_size=1, max_size=8))
def test_agrees_with_the_slow_way(tree: dict[str, Any], requests: list[dict[str, str]]) -> None:
    assume(depth(tree) <= 8)
    compiled = compile_targeting(targeting_parts(TREE.validate_python(tree)))
    for attributes in requests:
        assert compiled(attributes) == naive(tree, attributes)


def depth(tree: dict[str, Any]) -> int:
    children = tree.get("all", []) + tree.get("any", []) + ([tree["not"]] if "not" in tree else [])
    return 1 + max((depth(child) for child in children), default=0)
