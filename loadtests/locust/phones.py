"""The app's users, as Locust knows users: each is a connection that makes one visit after another.

Every visit is of another person. A person's popups are confirmed before that person asks again, as the rules
for clients say; so a cap that is overshot is the service's fault.
"""

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from locust import task

from loadtests.campaigns import PLACEMENT
from loadtests.locust.phone import Phone

PLACEMENTS: Final = (PLACEMENT, "cart", "profile", "checkout")
_SECOND_SCREEN: Final = 0.3
_HEAVY_VISITS: Final = 8


class App(Phone):
    """Opens the app, sees a popup or two, goes to another screen perhaps."""

    weight = 70

    @task
    def visit(self) -> None:
        with self.someone() as person:
            self.show(person, self.popups(person), most=2)
            if random.random() < _SECOND_SCREEN:
                placement = random.choice(PLACEMENTS[1:])
                self.show(person, self.popups(person, placement), most=1)


class HeavyUser(Phone):
    """Opens the app again and again, until caps leave nothing to show."""

    weight = 12

    @task
    def visits(self) -> None:
        with self.someone() as person:
            for number in range(_HEAVY_VISITS):
                placement = PLACEMENTS[number % len(PLACEMENTS)]
                self.show(person, self.popups(person, placement), most=5)


class OfflinePhone(Phone):
    """Fetched every screen in the morning, was offline, and sends the whole day at once."""

    weight = 8

    @task
    def day(self) -> None:
        with self.someone() as person:
            served = datetime.now(UTC)
            popups = [popup for screen in PLACEMENTS for popup in self.popups(person, screen, limit=10)]
            if not popups:
                return
            step = (datetime.now(UTC) - served) / len(popups)
            occurred = (served + step * number for number in range(len(popups)))
            self.confirm(person, [str(popup["token"]) for popup in popups], "POST a day", occurred)


class Resender(Phone):
    """Never believes that its impression has arrived."""

    weight = 5

    @task
    def visit(self) -> None:
        with self.someone() as person:
            tokens = self.show(person, self.popups(person), most=2)
            for token in tokens:
                self.confirm(person, [token], "POST again")
            if tokens:
                self.confirm(person, tokens * 2, "POST again")


class Bot(Phone):
    """Asks and never confirms, makes up tokens, and has no JWT. What it gets is right if it is a refusal."""

    weight = 5
    _REFUSED: Final = frozenset({400, 401, 403, 409, 410, 422, 429})

    @task
    def visit(self) -> None:
        bot = self.world.bots_from + random.randrange(100)
        headers = {"Authorization": self.world.people.authorization(bot)}
        self._expect("GET", "/v1/popups?placement=home&limit=10", headers, None, self._REFUSED | {200})
        forged = f'{{"token":"AQ{"A" * 100}"}}'
        self._expect("POST", "/v1/impressions", headers, forged, self._REFUSED)
        self._expect("GET", "/v1/popups?placement=home", {"Authorization": "Bearer a.b.c"}, None, {401, 429})

    def _expect(
        self, method: str, path: str, headers: dict[str, str], body: str | None, expected: Iterable[int]
    ) -> None:
        self._until_due()
        with self.client.request(
            method, path, name=f"bot {method}", headers=headers, data=body, catch_response=True
        ) as answer:
            if answer.status_code in expected:
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}: {str(answer.text)[:200]}")


BEHAVIOURS: Final[tuple[type[Phone], ...]] = (App, HeavyUser, OfflinePhone, Resender, Bot)
