"""Phones that fetch popups and confirm them, and send again what they have no answer for."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from buffer.contract import KIND_CLICK, KIND_CONVERT, KIND_DISMISS, KIND_IMPRESSION
from tests.adversity.chaos.ledger import Ledger, Line
from tests.support.service import bearer
from tests.support.waiting import until

PLACEMENT: Final = "chaos"
#: Longer than any wait of the service: a request that takes so long met a server that is away or stopped.
_REQUEST_SECONDS: Final = 8.0
_PAUSE_MAX_SECONDS: Final = 0.04
_LIST_SHARE: Final = 0.5
#: Of the times that popups were confirmed: then one of them is clicked, dismissed, or converts.
_TAPPED_SHARE: Final = 0.2
_INTERACTIONS: Final = {KIND_CLICK: "click", KIND_DISMISS: "dismiss", KIND_CONVERT: "convert"}
_OPENED_IN_A_SESSION: Final = 5
#: Of what was acknowledged, to either worker: at once, and again later when it is surely merged.
_RESENT_SHARE: Final = 0.1
_KEPT_TOKENS: Final = 50
#: Of what was not acknowledged.
_INSISTING_SHARE: Final = 0.5
_ALLOWED: Final = (200, 202, 503)


class Phone:
    """One user's. It has two connections, so that a resend may reach the other worker."""

    def __init__(
        self, sessions: Sequence[aiohttp.ClientSession], user: str, ledger: Ledger, dice: random.Random
    ) -> None:
        self.user = user
        self._sessions = sessions
        self._headers = bearer(user)
        self._ledger = ledger
        self._dice = dice
        self._told: list[tuple[str, int]] = []
        self._opened = 0

    async def use(self, stop: asyncio.Event) -> None:
        """Open the app again and again, until `stop` is set."""
        while not stop.is_set():
            await self.open()
            await asyncio.sleep(self._dice.uniform(0, _PAUSE_MAX_SECONDS))

    async def open(self) -> None:
        """Fetch the popups, and tell that they were shown, together or one by one, and what the user did."""
        self._opened += 1
        session = f"{self.user} {self._opened // _OPENED_IN_A_SESSION}"
        query = urlencode({"placement": PLACEMENT, "limit": 5, "session": session})
        status, answer = await self._request("GET", f"/v1/popups?{query}")
        tokens = [str(popup["token"]) for popup in answer["popups"]] if status == 200 else []
        batches = [tokens] if self._dice.random() < _LIST_SHARE else [[token] for token in tokens]
        for batch in filter(None, batches):
            await self._tell(batch, KIND_IMPRESSION)
            if self._dice.random() < _TAPPED_SHARE:
                await self._tell([self._dice.choice(batch)], self._dice.choice(list(_INTERACTIONS)))

    async def confirm(self, tokens: list[str], kind: int = KIND_IMPRESSION) -> bool:
        """Send events of one kind in one request; whether it was answered 202."""
        named = {"kind": _INTERACTIONS[kind]} if kind in _INTERACTIONS else {}
        events = [{"token": token, **named} for token in tokens]
        for token in tokens:
            self._ledger.sent(token, kind)
        plural = "interactions" if named else "impressions"
        document = events[0] if len(tokens) == 1 else {plural: events}
        status, answer = await self._request("POST", f"/v1/{plural}", document)
        if status != 202:
            return False
        refused = {each["index"] for each in answer["rejected"]}
        if refused:
            self._ledger.outrages["refused a token of its own"] += 1
        for index, token in enumerate(tokens):
            if index not in refused:
                self._ledger.acknowledged(token, kind)
        return True

    async def _tell(self, tokens: list[str], kind: int) -> None:
        """Perhaps again: with an answer, and without."""
        if not await self.confirm(tokens, kind):
            if self._dice.random() < _INSISTING_SHARE:
                await self.confirm(tokens, kind)
            return
        if self._dice.random() < _RESENT_SHARE:
            await self.confirm(tokens, kind)
        if self._told and self._dice.random() < _RESENT_SHARE:
            token, told = self._dice.choice(self._told)
            await self.confirm([token], told)
        self._told = (self._told + [(token, kind) for token in tokens])[-_KEPT_TOKENS:]

    async def _request(self, method: str, path: str, document: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and answer; (0, {}) if there was none."""
        what = f"{method} {path.partition('?')[0]}"
        session = self._dice.choice(self._sessions)
        try:
            async with session.request(method, path, json=document, headers=self._headers) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._ledger.troubles[f"{what}: {type(error).__name__}"] += 1
            return 0, {}
        if not response.ok:
            named = f"{what}: {response.status} {answer.get('code', '')}"
            self._ledger.troubles[named] += 1
            if response.status not in _ALLOWED or "Retry-After" not in response.headers:
                self._ledger.outrages[f"{named} {answer.get('detail', '')}"] += 1
        return response.status, answer


class Crowd:
    """Phones in use, and what to wait for while they are."""

    def __init__(self, url: str, phones: Sequence[Phone], ledger: Ledger, dice: random.Random) -> None:
        self.ledger = ledger
        self._url = url
        self._phones = phones
        self._dice = dice
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Inside the block. Afterwards every request has its answer, or has given up."""
        try:
            async with asyncio.TaskGroup() as phones:
                for phone in self._phones:
                    phones.create_task(phone.use(self._stop))
                yield
                self._stop.set()
        finally:
            self._stop.set()

    async def acknowledged(self, more: int, *, seconds: float = 30.0) -> None:
        """Return when so many more impressions are acknowledged."""
        goal = self.ledger.acknowledged_count + more
        await until(
            lambda: self.ledger.acknowledged_count >= goal,
            f"{more} more impressions are acknowledged, of {dict(self.ledger.troubles)}",
            seconds=seconds,
        )

    async def one_more(self) -> None:
        """One phone is used once."""
        await self._dice.choice(self._phones).open()

    async def insist(self, lines: Sequence[Line]) -> None:
        """Send each once more, from its own user's phone."""
        phone_of = {phone.user: phone for phone in self._phones}
        for line in lines:
            await phone_of[line.user].confirm([line.token], line.kind)

    async def repeat(self, lines: Sequence[Line]) -> None:
        """Send each once more, over new connections: to this worker or to that, whoever had it first."""
        for line in lines:
            async with _session(self._url) as session:
                await Phone([session], line.user, self.ledger, self._dice).confirm([line.token], line.kind)


@asynccontextmanager
async def crowd(url: str, users: Sequence[str], ledger: Ledger, dice: random.Random) -> AsyncIterator[Crowd]:
    """A phone for each user, with connections of their own, on whatever workers take them."""
    async with AsyncExitStack() as stack:
        phones = []
        for user in users:
            sessions = [await stack.enter_async_context(_session(url)) for _ in range(2)]
            phones.append(Phone(sessions, user, ledger, random.Random(dice.random())))
        yield Crowd(url, phones, ledger, dice)


def _session(url: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=1),
        timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
    )
