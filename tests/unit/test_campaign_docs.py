"""docs/campaigns.md against the code: its examples are played, its lists of fields and codes are complete."""

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from api.admin import testers
from api.admin.previews import PreviewIn
from api.campaigns.fields import Budget, Cap, Daypart, Stop, StopAfter
from api.campaigns.model import CampaignIn, Variant
from api.campaigns.policy import Limits, PolicyIn
from api.campaigns.rules import CODES
from tests.support.markdown import blocks, tables
from tests.support.scene_engine import Played
from tests.support.scenes import DOCUMENT, Claim, Row, Scene, read, whole

TEXT: Final = DOCUMENT.read_text(encoding="utf-8")
SCENES: Final = read(TEXT)
ROWS: Final = [(scene, row) for scene in SCENES for row in scene.rows]
#: Which fields are documents of their own, and how the tables write them.
CAMPAIGN_PARTS: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "schedule": ("schedule[]", Daypart),
    "caps": ("caps[]", Cap),
    "stop_after": ("stop_after", StopAfter),
    "budget": ("budget", Budget),
    "variants": ("variants[]", Variant),
    "click": ("stop_after.click", Stop),  # stands for the other two kinds
}
POLICY_PARTS: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "caps": ("caps[]", Cap),
    "tags": ("tags.<tag>", Limits),
}


@pytest.mark.parametrize(("scene", "row"), ROWS, ids=lambda each: f"line {each.line}")
def test_what_an_example_says_is_what_happens(scene: Scene, row: Row) -> None:
    assert list(Played(scene, row).wrong()) == []


@pytest.mark.parametrize(("scene", "row"), ROWS, ids=lambda each: f"line {each.line}")
def test_an_example_that_said_something_else_would_fail(scene: Scene, row: Row) -> None:
    for key, claim in row.claims.items():
        for wrong in wrong_claims(claim):
            changed = dataclasses.replace(row, claims={**row.claims, key: wrong})
            assert list(Played(scene, changed).wrong()) != [], f"{key}: {wrong}"


def wrong_claims(claim: Claim) -> Iterator[Claim]:
    yield dataclasses.replace(claim, code="capped" if claim.code != "capped" else "stopped")
    if claim.code is not None:
        yield Claim()
        yield dataclasses.replace(claim, also=frozenset(("not_listed",)))
    if claim.rank is not None:
        yield dataclasses.replace(claim, rank=claim.rank + 1)
    if claim.until is not None:
        yield dataclasses.replace(claim, until=claim.until + timedelta(seconds=1))
        yield dataclasses.replace(claim, until=None, for_good=True)


@pytest.mark.parametrize(
    "cell", ["showed", "`capped` again from Mon 10:00", "`capped`, again from 10:00", ""]
)
def test_an_answer_that_cannot_be_read_is_no_example(cell: str) -> None:
    with pytest.raises(ValueError, match="line 7"):
        read(
            '```json\n{"cooldown": "30m"}\n```\n| now | answer |\n|---|---|\n'
            f"| Mon 10:00 | shown |\n| Mon 11:00 | {cell} |\n"
        )


def test_a_column_that_nobody_knows_is_no_example() -> None:
    with pytest.raises(ValueError, match="'befor' is neither"):
        read(
            '```json\n{"cooldown": "30m"}\n```\n| befor | answer |\n|---|---|\n| shown Mon 10:00 | shown |\n'
        )


def test_every_block_is_what_the_api_takes() -> None:
    found: dict[str, type[BaseModel]] = {
        "": CampaignIn, "policy": PolicyIn, "preview": PreviewIn, "test_user": testers.TesterIn
    }  # fmt: skip
    for block in blocks(TEXT):
        for each in block.value if isinstance(block.value, list) else [block.value]:
            found[block.kind].model_validate(each if block.kind else whole(each))
    assert {block.kind for block in blocks(TEXT)} == set(found)


def test_every_field_of_a_campaign_is_listed_with_its_default() -> None:
    assert listed("field") == dict(fields_of(CampaignIn, CAMPAIGN_PARTS))


def test_every_field_of_the_policy_is_listed_with_its_default() -> None:
    assert listed("policy field") == dict(fields_of(PolicyIn, POLICY_PARTS))


@pytest.mark.parametrize(
    ("kind", "model", "parts"), [("", CampaignIn, CAMPAIGN_PARTS), ("policy", PolicyIn, POLICY_PARTS)]
)
def test_every_field_is_in_an_example(
    kind: str, model: type[BaseModel], parts: dict[str, tuple[str, type[BaseModel]]]
) -> None:
    shown = {name for block in blocks(TEXT) if block.kind == kind for name in paths(block.value)}
    wanted = {re.sub(r"\.<\w+>", "", name) for name, _ in fields_of(model, parts)}
    assert wanted - {re.sub(r"^tags\.\w+", "tags", name) for name in shown} == set()


def test_every_code_is_explained_in_the_order_of_evaluation() -> None:
    explained = next(table for table in tables(TEXT) if table.head[0] == "code")
    assert [row[0].strip("`") for row in explained.rows] == list(CODES)
    assert all(all(row) for row in explained.rows), "what it means, and what to do"


def test_every_code_is_the_answer_in_an_example() -> None:
    assert set(CODES) - {claim.code for _, row in ROWS for claim in row.claims.values()} == set()


def refusals() -> list[tuple[str, str]]:
    table = next(table for table in tables(TEXT) if table.head == ["written", "refused at"])
    return [(row[0], row[1].strip("`")) for row in table.rows]


@pytest.mark.parametrize(("written", "field"), refusals())
def test_what_the_document_calls_refused_is_refused_there(written: str, field: str) -> None:
    fragment = json.loads(written[1 : written.rindex("`")])
    with pytest.raises(ValidationError) as refused:
        CampaignIn.model_validate(whole(fragment))
    assert [".".join(map(str, error["loc"])) for error in refused.value.errors()] == [field]


def listed(head: str) -> dict[str, str]:
    """Name → default of the table whose first column has this head."""
    table = next(table for table in tables(TEXT) if table.head[0] == head)
    names = [row[0].strip("`") for row in table.rows]
    assert len(set(names)) == len(names)
    return dict(zip(names, (row[1].strip("`") for row in table.rows), strict=True))


def fields_of(
    model: type[BaseModel], parts: dict[str, tuple[str, type[BaseModel]]], at: str = ""
) -> Iterator[tuple[str, str]]:
    for python_name, info in model.model_fields.items():
        name = info.alias or python_name
        yield at + name, written_default(info.get_default(call_default_factory=False))
        if name in parts and parts[name][1] is not model and not at.startswith("tags"):
            path, part = parts[name]
            yield from fields_of(part, parts, f"{path}.")


def written_default(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    return (
        "null"
        if default is None
        else json.dumps(int(default) if default == 0 and default is not False else default)
    )


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Of all fields that a document has, as the tables write them."""
    if isinstance(value, list):
        for each in value:
            yield from paths(each, f"{at.removesuffix('.')}[]." if at else "")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield at + name
            yield from paths(each, f"{at}{name}.")
