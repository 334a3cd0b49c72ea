"""A service, its database, and what a case needs of both."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from api.tokens import session_hash
from buffer import contract
from maintenance.partitions import keep_partitions
from tayang.user_token import mint
from tests.oracle.cases import Case
from tests.oracle.documents import Document, Event
from tests.oracle.http.cases import weeks
from tests.oracle.http.clock import StubbedClock, stubbed_clock
from tests.support import buffered
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, USER_SECRET, Service
from tests.support.tokens import SIGNER

#: Of an api process that is no more: ghosts' history is what no client can send.
_INSTANCE: Final = 77
_ACCEPT_WITHIN_SECONDS: Final = 60 * 86_400
_VALID_SECONDS: Final = 100 * 365 * 86_400
_KEEP_ALL_DAYS: Final = 10_000
_EVENTS_MAX: Final = 100
_UNREAL: Final = {"ghost": contract.KIND_GHOST, "served": contract.KIND_SERVED}
_INTERACTIONS: Final = {
    "click": "click",
    "dismiss": "dismiss",
    "convert": "convert",
    "ghost_convert": "convert",
}
#: A slot that a case doesn't use.
_UNUSED: Final[dict[str, Any]] = {"status": "draft", "placement": "nowhere"}
_VARIANTS: Final = [{"key": "a", "weight": 1, "content": {}}]
_ADMIN: Final = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}


@dataclass(frozen=True)
class Answer:
    """Ids in the order of the answer, and the tokens of what is shown."""

    shown: list[int]
    held_out: list[int]
    tokens: list[str]


@dataclass
class World:
    """Campaigns live on from case to case and are changed, as an admin would: `c1` has id 1, and so on."""

    service: Service
    clock: StubbedClock
    stored: dict[int, dict[str, Any]] = field(default_factory=dict)
    policy: Document = field(default_factory=dict)
    seqs: Counter[int] = field(default_factory=Counter)

    @property
    def database(self) -> Database:
        return self.service.database

    async def arrange(self, case: Case) -> None:
        """Campaigns, policy, audiences and histories of the case, merged or not."""
        wanted = {campaign["id"]: _written(campaign) for campaign in case["campaigns"]}
        for number in range(1, max([*wanted, *self.stored]) + 1):
            document = wanted.get(
                number, {"key": f"c{number}", "name": "-", "variants": _VARIANTS, **_UNUSED}
            )
            if self.stored.get(number) != document:
                await self._store(number, document)
        if self.policy != case["policy"]:
            await self._admin("PUT", "/v1/admin/policy", case["policy"])
            self.policy = case["policy"]
        for step in case["steps"]:
            await self._list(case, step)

    async def remember(self, user: str, events: Sequence[Event]) -> None:
        """This is the user's history: what phones have sent, and ghosts in the buffer."""
        if not events:
            return
        self.clock.now = max(event.at for event in events) + timedelta(seconds=1)
        single = [event for event in events for _ in range(event.times)]
        impressions = [_event(user, event) for event in single if event.kind == "impression"]
        await self._post(user, "impressions", impressions)
        interactions = [
            {**_event(user, event), "kind": _INTERACTIONS[event.kind]}
            for event in single
            if event.kind in _INTERACTIONS
        ]
        await self._post(user, "interactions", interactions)
        await self._buffer(user, [event for event in single if event.kind in _UNREAL])

    async def test(self, user: str) -> None:
        """From now on a test user."""
        await self._admin("PUT", f"/v1/admin/test-users/{user}", {})

    async def ask(self, step: Case, now: datetime) -> Answer:
        request = step["request"]
        self.clock.now = now
        said = {
            "placement": request["placement"],
            "limit": request["limit"],
            "session": request["session"],
            "tz": request["tz"],
            **request["attributes"],
        }
        query = urlencode({name: value for name, value in said.items() if value is not None})
        path, headers = f"/v1/popups?{query}", _bearer(request["user"])
        async with self.service.client.get(path, headers=headers) as response:
            document = await response.json()
            assert response.status == 200, document
        return Answer(
            [_id(popup) for popup in document["popups"]],
            [_id(ghost) for ghost in document.get("held_out", [])],
            [popup["token"] for popup in document["popups"]],
        )

    async def confirm(self, user: str, answer: Answer) -> None:
        """All that was shown was seen at once."""
        await self._post(user, "impressions", [{"token": token} for token in answer.tokens])

    async def merge(self) -> None:
        await self.database.merge()

    async def _store(self, number: int, document: dict[str, Any]) -> None:
        if number in self.stored:
            await self._admin("PUT", f"/v1/admin/campaigns/c{number}", document)
        else:
            created = await self._admin("POST", "/v1/admin/campaigns", document)
            assert created["id"] == number
        self.stored[number] = document

    async def _list(self, case: Case, step: Case) -> None:
        for campaign in case["campaigns"]:
            if campaign["audience"] == "listed" and campaign["id"] in step["listed"]:
                path = f"/v1/admin/campaigns/c{campaign['id']}/audience?mode=add"
                await self._admin("PUT", path, f"{step['request']['user']}\n".encode())

    async def _admin(self, method: str, path: str, body: Any) -> Any:
        sent: dict[str, Any] = {"headers": _ADMIN, "json": body}
        if isinstance(body, bytes):
            sent = {"headers": {**_ADMIN, "Content-Type": "text/csv"}, "data": body}
        async with self.service.client.request(method, path, **sent) as response:
            assert response.ok, f"{method} {path}: {await response.text()}"
            return await response.json()

    async def _post(self, user: str, plural: str, events: Sequence[Document]) -> None:
        for first in range(0, len(events), _EVENTS_MAX):
            some = {plural: events[first : first + _EVENTS_MAX]}
            async with self.service.client.post(
                f"/v1/{plural}", json=some, headers=_bearer(user)
            ) as response:
                document = await response.json()
                assert response.status == 202, document
                assert document["rejected"] == [], document

    async def _buffer(self, user: str, events: Sequence[Event]) -> None:
        rows = [
            buffered.Event(
                user_id=user,
                campaign_id=event.campaign,
                kind=_UNREAL[event.kind],
                occurred_at=event.at,
                session=0 if event.session is None else session_hash(event.session),
                id=buffered.impression_id(event.at),
            )
            for event in events
        ]
        first_seq = self.seqs[_INSTANCE] + 1
        self.seqs[_INSTANCE] += len(rows)
        await buffered.buffer(
            await self.database.primary(),
            rows,
            instance=_INSTANCE,
            first_seq=first_seq,
            table=await self._table(),
        )

    async def _table(self) -> int:
        primary = await self.database.primary()
        return int(await primary.fetchval("SELECT active_buffer FROM merge_ticks"))


@asynccontextmanager
async def world(database: Database, start: Callable[..., Any]) -> AsyncIterator[World]:
    """`start` starts a service on the database."""
    primary = await database.primary()
    for day in weeks():
        await keep_partitions(primary, day, log_days=_KEEP_ALL_DAYS, daily_count_days=_KEEP_ALL_DAYS)
    await database.caught_up()
    service = await start(accept_within_seconds=_ACCEPT_WITHIN_SECONDS)
    with stubbed_clock() as clock:
        yield World(service, clock)


def _written(campaign: Document) -> dict[str, Any]:
    return {name: value for name, value in campaign.items() if name != "id"}


def _event(user: str, event: Event) -> dict[str, Any]:
    """With the token of a popup that was shown as soon as it was served."""
    at_ms = (event.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    token = SIGNER.sign(
        user.encode(),
        event.campaign,
        b"a",
        now_ms=at_ms,
        show_by=at_ms // 1000 + 600,
        session=0 if event.session is None else session_hash(event.session),
        ghost=event.kind == "ghost_convert",
    )
    return {"token": token.decode(), "occurred_at": event.at.isoformat()}


def _bearer(user: str) -> dict[str, str]:
    """Of a JWT that is valid at whatever time it is played."""
    return {"Authorization": f"Bearer {mint(USER_SECRET, user, valid_seconds=_VALID_SECONDS)}"}


def _id(popup: Document) -> int:
    return int(popup["campaign"].removeprefix("c"))
