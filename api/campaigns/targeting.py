"""Targeting: a tree of conditions on the attributes of a request, checked once and compiled to closures."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WrapValidator,
    field_validator,
)

Predicate = Callable[[Mapping[str, str]], bool]
Op = Literal["eq", "ne", "in", "not_in", "gte", "lte", "gt", "lt", "prefix", "exists"]
Scalar = str | int | float

# A tree is evaluated for every campaign on every request: 200 version comparisons take some 50 µs.
MAX_DEPTH = 8
MAX_NODES = 200
MAX_LIST_VALUES = 1000
MAX_VALUE_CHARACTERS = 256
# Numbers up to here are exact in JSON, in PostgreSQL's jsonb and here.
MAX_NUMBER = 10**15

_ATTRIBUTE = r"^(platform|app_version|locale|country|attr\.[A-Za-z0-9_.-]{1,64})$"
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gte": operator.ge,
    "lte": operator.le,
    "gt": operator.gt,
    "lt": operator.lt,
}


class Part:
    """One of the conditions that all must match: a whole tree, or a child of its topmost `all`."""

    __slots__ = ("attributes", "matches", "node")

    def __init__(self, node: "Node") -> None:
        self.matches = _compile(node)
        self.node = node
        self.attributes = tuple(sorted(attributes_of(node)))


def targeting_parts(tree: "Node | None") -> tuple[Part, ...]:
    """A campaign matches if all parts do.

    A missing attribute matches only `ne`, `exists: false` and what a `not` turns round. An app_version that
    can't be read counts as missing. Text is compared as it is: "ID" is not "id".
    """
    nodes = [] if tree is None else tree.nodes if isinstance(tree, AllOf) else [tree]
    return tuple(Part(node) for node in nodes)


def compile_targeting(parts: Sequence[Part]) -> Predicate:
    """Attributes of a request, by name as in the query string ("platform", "attr.tier") → do all match?"""
    if len(parts) == 1:
        return parts[0].matches
    return _all([part.matches for part in parts])


def attributes_of(tree: "Node | None") -> frozenset[str]:
    """The names that the tree asks for."""
    if tree is None:
        return frozenset()
    if isinstance(tree, Condition):
        return frozenset((tree.attribute,))
    nodes = [tree.node] if isinstance(tree, Not) else tree.nodes
    return frozenset().union(*(attributes_of(node) for node in nodes))


def telling_values(tree: "Node | None") -> tuple[str, frozenset[str]] | None:
    """An attribute, and values of which a request must have one for the tree to match; None if there is none.

    Of several such conditions the one with the fewest values, for it cuts off most.
    """
    if isinstance(tree, AllOf):
        found = [telling for node in tree.nodes if (telling := telling_values(node)) is not None]
        return min(found, key=lambda one: len(one[1]), default=None)
    if not isinstance(tree, Condition) or tree.op not in ("eq", "in") or tree.attribute == "app_version":
        return None  # versions are equal in more than one way of writing
    values = tree.value if isinstance(tree.value, list) else [tree.value]
    texts = frozenset(value for value in values if isinstance(value, str))
    return (tree.attribute, texts) if len(texts) == len(set(values)) else None


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, serialize_by_alias=True)


class AllOf(StrictModel):
    nodes: list["Node"] = Field(alias="all")


class AnyOf(StrictModel):
    nodes: list["Node"] = Field(alias="any", min_length=1)


class Not(StrictModel):
    node: "Node" = Field(alias="not")


class Condition(StrictModel):
    """What `value` may be depends on the op.

    `in`, `not_in`: a list; `prefix`: text; `exists`: true, false or nothing; else one text. With `attr.*`
    also numbers, which compare as numbers. Only app_version and `attr.*` have an order (gte, lte, gt, lt).
    """

    attribute: str = Field(pattern=_ATTRIBUTE)
    op: Op
    value: Any = Field(default=None, validate_default=True)

    @field_validator("op")
    @classmethod
    def _has_an_order(cls, op: Op, info: ValidationInfo) -> Op:
        attribute = info.data.get("attribute", "attr.")
        if op in _ORDER and attribute != "app_version" and not attribute.startswith("attr."):
            raise ValueError(f"{attribute} has no order: use eq, ne, in, not_in, prefix or exists")
        return op

    @field_validator("value", mode="plain", json_schema_input_type=Scalar | bool | list[Scalar] | None)
    @classmethod
    def _fits_the_op(cls, value: Any, info: ValidationInfo) -> Any:
        if "attribute" in info.data and "op" in info.data:  # else already refused there
            _check_value(info.data["attribute"], info.data["op"], value)
        return value


def _pick(value: Any, _handler: Any) -> Any:
    """The kind of node by its key, so that an error names its place in the tree and not four alternatives."""
    if isinstance(value, (AllOf, AnyOf, Not, Condition)):
        return value
    if isinstance(value, dict):
        for key, kind in (
            ("all", AllOf),
            ("any", AnyOf),
            ("not", Not),
            ("attribute", Condition),
            ("op", Condition),
        ):
            if key in value:
                return kind.model_validate(value)
    raise ValueError(
        'write {"all": […]}, {"any": […]}, {"not": {…}} or {"attribute": …, "op": …, "value": …}'
    )


def _within_limits(tree: Any) -> Any:
    """Level by level and before anything recurses into it: the tree is a stranger's."""
    level = [tree.model_dump() if isinstance(tree, BaseModel) else tree]
    nodes = depth = 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > MAX_DEPTH:
            raise ValueError(f"the tree is deeper than {MAX_DEPTH} levels: join nested all or any nodes")
        if nodes > MAX_NODES:
            raise ValueError(f"the tree has more than {MAX_NODES} nodes: use `in` for long lists of values")
        level = [child for node in level if isinstance(node, dict) for child in _children(node)]
    return tree


def _children(node: dict[str, Any]) -> list[Any]:
    lists = [value for value in (node.get("all"), node.get("any")) if isinstance(value, list)]
    return [child for children in lists for child in children] + ([node["not"]] if "not" in node else [])


Node = Annotated[AllOf | AnyOf | Not | Condition, WrapValidator(_pick)]
Targeting = Annotated[Node, BeforeValidator(_within_limits)]
for _model in (AllOf, AnyOf, Not):
    _model.model_rebuild()


def check_storable(text: str) -> str:
    """ValueError for text that PostgreSQL can't keep, in jsonb or text: NUL and lone surrogates."""
    if "\0" in text:
        raise ValueError("contains a NUL character (U+0000): remove it")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("contains half a surrogate pair, which is not a character: remove it")
    return text


def _check_value(attribute: str, op: Op, value: Any) -> None:
    if op == "exists":
        if value is not None and not isinstance(value, bool):
            raise ValueError("exists takes true, false or no value")
    elif op == "prefix":
        if not isinstance(value, str) or not value:
            raise ValueError("prefix takes a text of at least one character")
        _check_text(value)
    elif op in ("in", "not_in"):
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_LIST_VALUES:
            raise ValueError(f"{op} takes a list of 1 to {MAX_LIST_VALUES} values")
        for each in value:
            _check_scalar(attribute, each)
        if len({isinstance(each, str) for each in value}) > 1:
            raise ValueError("write the values all as texts or all as numbers: a text compares as text")
    else:
        _check_scalar(attribute, value)


def _check_scalar(attribute: str, value: Any) -> None:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if numeric and attribute.startswith("attr."):
        if not abs(value) <= MAX_NUMBER:  # refuses NaN too
            raise ValueError(f"a number must lie between -{MAX_NUMBER} and {MAX_NUMBER}")
        return
    if not isinstance(value, str):
        kinds = "a text or a number" if attribute.startswith("attr.") else "a text"
        raise ValueError(f"{attribute} is compared with {kinds}, not with {type(value).__name__}")  # noqa: TRY004  (pydantic takes a ValueError)
    _check_text(value)
    if attribute == "app_version" and parse_version(value) is None:
        raise ValueError(f"{value[:40]!r} is not a version: write it like '5.2', '5.2.0' or '5.2.0-rc1'")


def _check_text(value: str) -> None:
    if len(value) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"a value has at most {MAX_VALUE_CHARACTERS} characters")
    check_storable(value)


VersionKey = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]

_VERSION = re.compile(
    r"(\d{1,9}(?:\.\d{1,9}){0,7})(?:-([0-9A-Za-z.-]{1,32}))?(?:\+[0-9A-Za-z.-]{1,32})?", re.ASCII
)
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)


def parse_version(text: str) -> VersionKey | None:
    """A key that sorts as versions do: 5.2 = 5.2.0 < 5.9 < 5.10, and 5.2-rc9 < 5.2-rc10 < 5.2.

    Build metadata ("+45") doesn't count. None if it is no version.
    """
    # The length first: what a stranger sends must not fill the cache.
    return _version_key(text) if len(text) <= 128 else None  # noqa: PLR2004  (a bound for the memo)


# A few hundred versions of an app are in use at once, and each request asks about one many times.
@lru_cache(maxsize=2048)
def _version_key(text: str) -> VersionKey | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if match[2] is None:
        return (tuple(numbers), 1, ())
    parts = re.findall(r"\d+|[A-Za-z]+", match[2])
    return (tuple(numbers), 0, tuple((0, int(p), "") if p.isdigit() else (1, 0, p.lower()) for p in parts))


def parse_number(text: str) -> float | None:
    """Plain decimal notation only: float() would also take "nan", "1_000" and " 7 "."""
    if _NUMBER.fullmatch(text) is None:
        return None
    return float(text) if "." in text else int(text)


def _compile(node: AllOf | AnyOf | Not | Condition) -> Predicate:
    if isinstance(node, Condition):
        return _compile_condition(node.attribute, node.op, node.value)
    if isinstance(node, Not):
        negated = _compile(node.node)
        return lambda attributes: not negated(attributes)
    parts = [_compile(child) for child in node.nodes]
    if len(parts) == 1:
        return parts[0]
    return _all(parts) if isinstance(node, AllOf) else _any(parts)


# Plain loops: all() and any() over a generator take twice as long for the usual two or three parts.
def _all(parts: list[Predicate]) -> Predicate:
    def matches(attributes: Mapping[str, str]) -> bool:
        for part in parts:  # noqa: SIM110  (faster than any() and all())
            if not part(attributes):
                return False
        return True

    return matches


def _any(parts: list[Predicate]) -> Predicate:
    def matches(attributes: Mapping[str, str]) -> bool:
        for part in parts:  # noqa: SIM110  (faster than any() and all())
            if part(attributes):
                return True
        return False

    return matches


def _compile_condition(name: str, op: Op, value: Any) -> Predicate:
    values = value if isinstance(value, list) else [value]
    if name == "app_version":
        read = _reader(name, parse_version)
        values = values if op in ("prefix", "exists") else [parse_version(each) for each in values]
    elif isinstance(values[0], (int, float)) and op != "exists":
        read = _reader(name, parse_number if op in _ORDER else _number_or_text)
    elif op in ("eq", "in"):
        # Most conditions are these, on text: without the second call they take half the time.
        members = frozenset(values)
        return lambda attributes: attributes.get(name) in members
    else:
        read = _reader(name, str)
    return _compare(name, op, values, read)


def _compare(name: str, op: Op, values: list[Any], read: Callable[[Mapping[str, str]], Any]) -> Predicate:
    """Compares what `read` makes of the attribute with constants made in the same way; None is missing."""
    value = values[0]
    if op == "exists":
        wanted = value is not False
        return lambda attributes: (read(attributes) is not None) is wanted
    if op == "prefix":
        return lambda attributes: read(attributes) is not None and attributes[name].startswith(value)
    if op in _ORDER:
        order = _ORDER[op]
        return lambda attributes: (found := read(attributes)) is not None and order(found, value)
    if op == "ne":
        return lambda attributes: read(attributes) != value
    members = frozenset(values)
    if op == "not_in":
        return lambda attributes: (found := read(attributes)) is not None and found not in members
    return lambda attributes: read(attributes) in members


def _reader(name: str, parse: Callable[[str], Any]) -> Callable[[Mapping[str, str]], Any]:
    return lambda attributes: None if (text := attributes.get(name)) is None else parse(text)


def _number_or_text(text: str) -> float | str:
    """For eq, ne, in and not_in with numbers: "gold" is no number, yet it is present and differs from 3."""
    number = parse_number(text)
    return text if number is None else number
