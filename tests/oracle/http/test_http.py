"""A hundred cases through HTTP, POST and merge; `python -m tests.oracle.http` plays any number."""

from collections.abc import Callable
from typing import Any

import pytest

from api.campaigns.history import History, Seen
from api.http.serving import Serving
from api.read import reader, stored
from api.tokens import TokenSigner
from tests.oracle.http.cases import http_case
from tests.oracle.http.play import Plays, smallest
from tests.oracle.http.world import world
from tests.oracle.shrink import written
from tests.support.database import Database
from tests.support.service import ServiceFactory

_SEED = 3
_CASES = 25
_NOTICED_WITHIN_CASES = 40

Patch = Callable[[Any, str, Any], None]


@pytest.mark.parametrize("first", range(0, 100, _CASES))
async def test_the_service_decides_as_the_oracle_does(
    first: int, database: Database, start_service: ServiceFactory
) -> None:
    async with world(database, start_service) as arranged:
        plays = Plays(arranged)
        for number in range(first, first + _CASES):
            case, merged = http_case(_SEED, number), number % 2 == 0
            if await plays.disagreements(case, merged=merged):
                small, said = await smallest(plays, case, merged=merged)
                raise AssertionError("\n".join([f"case {number}", *said, written(small)]))


def interactions_in_memory_are_forgotten(patch: Patch) -> None:
    patch(History, "interact", lambda _history, _campaign_id, _kind, _occurred_at_us: None)


def merged_conversions_are_not_read(patch: Patch) -> None:
    original = stored._seen

    def seen(blob: bytes, at: int) -> Seen:
        found = original(blob, at)
        clicks, dismissals, _ = found.interactions
        found.interactions = (clicks, dismissals, 0)
        return found

    patch(stored, "_seen", seen)


def ghosts_leave_no_mark(patch: Patch) -> None:
    patch(Serving, "_note", lambda *_arguments: True)


def tokens_carry_no_session(patch: Patch) -> None:
    original = TokenSigner.sign
    patch(TokenSigner, "sign", lambda *arguments, **said: original(*arguments, **said | {"session": 0}))


def what_is_in_memory_does_not_count(patch: Patch) -> None:
    patch(reader, "add_event", lambda _history, _event: None)


@pytest.mark.parametrize(
    "loss",
    [
        interactions_in_memory_are_forgotten,
        merged_conversions_are_not_read,
        ghosts_leave_no_mark,
        tokens_carry_no_session,
        what_is_in_memory_does_not_count,
    ],
    ids=lambda loss: loss.__name__,
)
async def test_what_is_lost_on_the_way_is_noticed(
    loss: Callable[[Patch], None],
    database: Database,
    start_service: ServiceFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loss(monkeypatch.setattr)
    async with world(database, start_service) as arranged:
        plays = Plays(arranged)
        for number in range(_NOTICED_WITHIN_CASES):
            if await plays.disagreements(http_case(_SEED, number), merged=number % 2 == 0):
                return
    pytest.fail("nobody noticed")
