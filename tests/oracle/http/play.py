"""One case against the service: GET, confirm, GET again, merge, and GET once more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tests.oracle.cases import Case, situation
from tests.oracle.decide import decide
from tests.oracle.documents import Event, events_of
from tests.oracle.engine import EngineDraws
from tests.oracle.http.cases import with_users
from tests.oracle.http.world import Answer, World
from tests.oracle.shrink import smaller

_MICROSECOND: Final = timedelta(microseconds=1)
_TRIES_MAX: Final = 400


@dataclass
class Playing:
    """`happened`: to each user, as the oracle has to know it."""

    world: World
    case: Case
    happened: dict[str, list[Event]] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    async def play(self, *, merged: bool) -> list[str]:
        """`merged`: whether the histories are, before anything is asked for. Else they are in memory yet."""
        await self.world.arrange(self.case)
        for step in self.case["steps"]:
            user = step["request"]["user"]
            if user not in self.happened:
                self.happened[user] = events_of(step["events"])
                await self.world.remember(user, self.happened[user])
        if merged or any(
            event.kind in ("ghost", "served") for events in self.happened.values() for event in events
        ):
            await self.world.merge()  # of ghosts' history nothing is in this process's memory
        await self.world.database.caught_up()
        for number, step in enumerate(self.case["steps"]):
            await self._step(f"step {number}", step)
        return self.disagreements

    async def _step(self, name: str, step: Case) -> None:
        user, now = step["request"]["user"], datetime.fromisoformat(step["now"])
        if step["request"]["test"]:
            await self.world.test(user)
            await self.world.database.caught_up()
        answer = await self._ask(f"{name}, asked", step, now)
        await self.world.confirm(user, answer)
        if not step["request"]["test"]:
            self._happens(step, "impression", answer.shown, now)
        await self._ask(f"{name}, asked again", step, now + _MICROSECOND)
        await self.world.merge()
        await self._ask(f"{name}, asked when all is merged", step, now + 2 * _MICROSECOND)

    async def _ask(self, name: str, step: Case, now: datetime) -> Answer:
        known = replace(
            situation(self.case, step, EngineDraws()), events=self.happened[step["request"]["user"]], now=now
        )
        expected = decide(known)
        answer = await self.world.ask(step, now)
        self._happens(step, "ghost", answer.held_out, now)
        if (answer.shown, answer.held_out) != (expected.chosen, expected.ghosts):
            self.disagreements.append(
                f"{name}: the oracle says {expected.chosen} and ghosts {expected.ghosts},"
                f" the service {answer.shown} and {answer.held_out}"
            )
        return answer

    def _happens(self, step: Case, kind: str, campaigns: Sequence[int], now: datetime) -> None:
        session = step["request"]["session"]
        self.happened[step["request"]["user"]] += [Event(each, kind, now, session) for each in campaigns]


class Plays:
    """Cases one after the other, each with users of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: Iterator[str] = (f"user-{number}" for number in range(10**9))

    async def disagreements(self, case: Case, *, merged: bool) -> list[str]:
        """Empty if the service decides as the oracle does."""
        return await Playing(self._world, with_users(case, next(self._names))).play(merged=merged)


async def smallest(plays: Plays, case: Case, *, merged: bool) -> tuple[Case, list[str]]:
    """A smaller case that disagrees, and how. Each try takes a service's time, so there are fewer."""
    said = await plays.disagreements(case, merged=merged)
    candidates, tries = smaller(case), 0
    while tries < _TRIES_MAX and (candidate := next(candidates, None)) is not None:
        tries += 1
        found = await plays.disagreements(candidate, merged=merged)
        if found:
            case, said, candidates = candidate, found, smaller(candidate)
    return case, said
