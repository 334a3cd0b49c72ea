"""What is not merged yet adds to a history what its merge would."""

from dataclasses import dataclass

import pytest

from api.campaigns.history import NEVER_US, History
from api.read.overlay import add_event


@dataclass
class Event:
    kind: int
    campaign_id: int = 5
    occurred_at_us: int = 1_000
    session: int = 9


@pytest.mark.parametrize(
    ("kind", "counted_for", "total", "interactions"),
    [
        (1, 5, 1, (0, 0, 0)),
        (2, 5, 0, (1, 0, 0)),
        (3, 5, 0, (0, 1, 0)),
        (4, 5, 0, (0, 0, 1)),
        (5, -5, 1, (0, 0, 0)),
        (6, 5, 0, (0, 0, 0)),
        (7, -5, 0, (0, 0, 1)),
    ],
)
def test_each_kind_has_its_place(
    kind: int, counted_for: int, total: int, interactions: tuple[int, int, int]
) -> None:
    history = History({})
    add_event(history, Event(kind))

    assert list(history.ids()) == [counted_for]
    seen = history.of(counted_for)
    assert seen is not None
    assert (seen.total, seen.recent_us) == (total, [1_000] * total)
    assert seen.sessions == [9] * total
    assert seen.interactions == interactions
    assert seen.last_us == tuple(1_000 if number else NEVER_US for number in interactions)


def test_a_kind_that_is_not_known_here_adds_nothing() -> None:
    """From a process of a later version."""
    history = History({})
    add_event(history, Event(8))
    assert list(history.ids()) == []
