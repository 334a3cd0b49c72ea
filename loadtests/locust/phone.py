"""What every phone can do: ask for popups, confirm, react; each request when it is due."""

import json
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser
from locust.env import Environment

from loadtests.campaigns import PLACEMENT, QUERIES
from loadtests.locust.client import Agent
from loadtests.locust.pace import Pace
from loadtests.locust.people import People
from loadtests.locust.record import IMPRESSION, KINDS, Ledger, Record

_ATTRIBUTES: Final = tuple(query.partition("&")[2] for query in QUERIES)
_CLICKS: Final = 0.12
_DISMISSES: Final = 0.25
_TIMEOUT_SECONDS: Final = 15.0
#: Most answers to a POST; the others are parsed.
_ONE_ACCEPTED: Final = b'{"accepted":1,"rejected":[]}'

Event = tuple[str, int]  # a token and a kind


@dataclass
class World:
    """What all phones of a test share. `interval_seconds`: between two requests of a phone, now."""

    people: People
    ledger: Ledger
    record: Record
    interval_seconds: float
    bots_from: int  # numbers of users who are no customers

    def interval(self) -> float:
        return self.interval_seconds


class Phone(FastHttpUser):
    """What all of them can do. Each request waits until it is due."""

    abstract = True
    world: ClassVar[World]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.late_ms = 0.0  # how long after it was due the request was sent
        self.client.client = Agent(str(self.host), _TIMEOUT_SECONDS)

    def on_start(self) -> None:
        self._pace = Pace(time.perf_counter(), self.world.interval)

    def context(self) -> dict[str, float]:
        """Goes with each request to Locust's listeners."""
        return {"late_ms": self.late_ms}

    def wait_time(self) -> float:
        return 0.0  # it is the requests that wait

    @contextmanager
    def someone(self) -> Iterator[int]:
        person = self.world.people.take()
        try:
            yield person
        finally:
            self.world.people.release(person)

    def popups(self, person: int, placement: str = PLACEMENT, limit: int = 5) -> list[dict[str, Any]]:
        """None are shown when the request fails."""
        attributes = _ATTRIBUTES[person % len(_ATTRIBUTES)]
        self._until_due()
        answer = self.client.get(
            f"/v1/popups?placement={placement}&limit={limit}&{attributes}",
            name=f"GET popups {placement}",
            headers={"Authorization": self.world.people.authorization(person)},
        )
        return list(json.loads(answer.content)["popups"]) if answer.status_code == 200 else []

    def confirm(self, person: int, tokens: list[str], name: str, occurred: Iterable[datetime] = ()) -> None:
        """Impressions: one alone, or a list."""
        events = [f'{{"token":"{token}"}}' for token in tokens]
        for number, moment in enumerate(occurred):
            events[number] = f'{{"token":"{tokens[number]}","occurred_at":"{moment.isoformat()}"}}'
        body = events[0] if len(events) == 1 else f'{{"impressions":[{",".join(events)}]}}'
        self._post(person, "/v1/impressions", body, name, [(token, IMPRESSION) for token in tokens])

    def react(self, person: int, token: str) -> None:
        """Some click, some dismiss, most do neither."""
        draw = random.random()
        if draw < _DISMISSES:
            kind = "click" if draw < _CLICKS else "dismiss"
            body = f'{{"token":"{token}","kind":"{kind}"}}'
            self._post(person, "/v1/interactions", body, "POST interaction", [(token, KINDS[kind])])

    def show(self, person: int, popups: list[dict[str, Any]], most: int) -> list[str]:
        """The first ones, one after another; returns their tokens."""
        tokens = [str(popup["token"]) for popup in popups[: random.randint(1, most)]]
        for token in tokens:
            self.confirm(person, [token], "POST impression")
            self.react(person, token)
        return tokens

    def _post(self, person: int, path: str, body: str, name: str, events: list[Event]) -> None:
        self._until_due()
        with self.client.post(
            path,
            name=name,
            data=body,
            headers={
                "Authorization": self.world.people.authorization(person),
                "Content-Type": "application/json",
            },
            catch_response=True,
        ) as answer:
            if answer.status_code != 202:
                # A 4xx refuses: if it were counted all the same, the books would say so.
                if not 400 <= answer.status_code < 500:
                    self.world.ledger.unanswered(events)
                return  # Locust counts it as failed
            if answer.content == _ONE_ACCEPTED and len(events) == 1:
                self.world.ledger.acknowledged(events)
                return
            rejected = {each["index"] for each in json.loads(answer.content)["rejected"]}
            self.world.ledger.acknowledged(
                event for index, event in enumerate(events) if index not in rejected
            )
            if rejected:
                answer.failure(f"rejected: {answer.text[:200]}")

    def _until_due(self) -> None:
        due = self._pace.next_due()
        wait = due - time.perf_counter()
        if wait > 0:
            gevent.sleep(wait)
        self.late_ms = max(0.0, 1000 * (time.perf_counter() - due))
