"""Who is compared with whom, and when nothing is said."""

from datetime import date
from typing import Any

import pytest

from api.admin.reports.lift import Newcomers, lift_of

FIRST, LATER = date(2026, 11, 1), date(2026, 11, 2)


def counted(
    *, shown: int = 20_000, since: date = FIRST, held_out: int = 1000, **users: int
) -> list[Newcomers]:
    """As in docs/campaigns.md: 1,000 of 20,000 convert, and 40 of the 1,000 who are held out."""
    values = {"seen": shown, "converted": 1000, "held_out_converted": 40, **users}
    kinds = {6: shown, 5: held_out, 4: values["converted"], 7: values["held_out_converted"]}
    rows = [Newcomers("a", kind, number, since) for kind, number in kinds.items() if number]
    return [*rows, Newcomers("a", 1, values["seen"], FIRST)]


def test_as_in_the_documents() -> None:
    lift = lift_of(counted())
    assert lift.problem is None
    assert lift.relative is not None
    assert lift.relative["value"] == pytest.approx(0.25)
    assert lift.relative["low"] < 0 < lift.relative["high"], "no proof yet"
    assert lift.difference is not None
    assert lift.difference["value"] == pytest.approx(0.01)
    assert lift.difference["low"] < 0 < lift.difference["high"]


def test_a_variant_is_compared_with_all_who_are_held_out() -> None:
    rows = [
        *counted(),
        Newcomers("b", 6, 500, FIRST),
        Newcomers("b", 4, 50, FIRST),
        Newcomers("b", 5, 9, FIRST),
    ]
    lift = lift_of(rows, "b")
    assert (lift.shown, lift.held_out) == ((50, 500), (40, 1009))
    assert lift.relative is not None
    assert lift.relative["value"] == pytest.approx(0.1 / (40 / 1009) - 1)
    assert lift_of(rows).shown == (1050, 20_500)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"held_out": 0}, "no_holdout"),
        ({"held_out_converted": 9}, "too_few"),
        ({"held_out_converted": 991}, "too_few"),
        ({"held_out_converted": 10}, None),
        ({"converted": 9}, "too_few"),
        ({"converted": 20_001}, "not_comparable"),
        ({"held_out_converted": 1001}, "not_comparable"),
        ({"since": LATER}, "not_comparable"),
        ({"seen": 20_200}, None),
        ({"seen": 20_300}, "not_comparable"),
        ({"seen": 0}, None),
    ],
)
def test_when_nothing_is_said(changes: dict[str, Any], problem: str | None) -> None:
    lift = lift_of(counted(**changes))
    assert lift.problem == problem
    document = lift.document()
    assert (document["difference"] is None) == (document["relative"] is None) == (problem is not None)


def test_of_nothing_nothing_is_said() -> None:
    document = lift_of([]).document()
    assert document["problem"] == "no_holdout"
    assert document["shown"] == {"users": 0, "converted": 0, "rate": None}
