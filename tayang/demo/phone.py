"""One user's phone: fetches popups, shows them, tells the service; now or when there is signal again."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from tayang.demo.day import PLACEMENTS, Day, Step
from tayang.demo.ledger import Impression, Ledger
from tayang.demo.service import RunningService

#: Shares of what happens: the app is closed after the first popup; an answer gets lost, so it is sent again.
_CLOSED_EARLY_SHARE: Final = 0.1
_ANSWER_LOST_SHARE: Final = 0.06
#: Between a popup's arrival and its report, as a share of the day.
_LOOKING_SHARE: Final = 0.004
#: Who opens the app again within an hour or so goes on with the session.
_SESSIONS_A_DAY: Final = 17


@dataclass(frozen=True)
class Seen:
    """A popup that was on the screen. `offline_us` is when, for one that is reported later."""

    token: str
    campaign: str
    session: str
    offline_us: int | None = None


class Phone:
    def __init__(
        self, service: RunningService, day: Day, ledger: Ledger, seconds: float, stop: asyncio.Event
    ) -> None:
        self.day = day
        self._service = service
        self._ledger = ledger
        self._seconds = seconds
        self._stop = stop
        self._random = Random(f"{day.seed}/phone")  # noqa: S311  (as for the day)
        self._offline = False
        self._started = time.time_ns()  # tells this day's sessions from those of another demo
        self._app_session = ""
        self._fetched: defaultdict[str, list[Seen]] = defaultdict(list)
        self._unsent: list[Seen] = []

    async def live(self) -> None:
        """The whole day, or until stop is set or its time is over; what is unsent is sent at the end."""
        started = time.monotonic()
        async with self._service.phone_session(self.day.user_id) as self._session:
            for step in self.day.steps:
                await self._pause(started + step.at * self._seconds - time.monotonic())
                if self._stop.is_set() or time.monotonic() - started > self._seconds:
                    break
                await self._do(step)
            await self._have_signal()

    async def _do(self, step: Step) -> None:
        self._app_session = f"{self._started}-{int(step.at * _SESSIONS_A_DAY)}"
        if step.action == "lose signal":
            for placement in PLACEMENTS:  # the app fetches ahead what it may need
                self._fetched[placement] = await self._fetch(placement)
            self._offline = True
        elif step.action == "have signal":
            await self._have_signal()
        elif self._offline:
            self._ledger.openings += 1
            if waiting := self._fetched[step.placement]:
                self._unsent.append(replace(waiting.pop(0), offline_us=time.time_ns() // 1000))
        else:
            self._ledger.openings += 1
            await self._open(step.placement)

    async def _open(self, placement: str) -> None:
        popups = await self._fetch(placement)
        if self._random.random() < _CLOSED_EARLY_SHARE:
            popups = popups[:1]
        if popups:
            await self._pause(self._random.random() * _LOOKING_SHARE * self._seconds)
            await self._send(popups)

    async def _have_signal(self) -> None:
        self._offline = False
        self._fetched.clear()
        unsent, self._unsent = self._unsent, []  # no day has the 100 that one request may hold
        if unsent:
            self._ledger.sent_later += len(unsent)
            await self._send(unsent)

    async def _fetch(self, placement: str) -> list[Seen]:
        session = self._app_session
        query = urlencode({"placement": placement, "session": session, **self.day.attributes})
        status, answer = await self._request("GET", f"/v1/popups?{query}")
        if status != 200:  # noqa: PLR2004
            return []
        popups = [Seen(popup["token"], popup["campaign"], session) for popup in answer["popups"]]
        self._ledger.popups_served(popup.campaign for popup in popups)
        return popups

    async def _send(self, seen: list[Seen]) -> None:
        events = [_event(each) for each in seen]
        document = events[0] if len(events) == 1 else {"impressions": events}
        times = 2 if self._random.random() < _ANSWER_LOST_SHARE else 1
        self._ledger.sent_twice += len(seen) * (times - 1)
        for _ in range(times):
            sent_us = time.time_ns() // 1000
            status, answer = await self._request("POST", "/v1/impressions", document)
            if status == 202:  # noqa: PLR2004
                self._note(seen, answer, sent_us, time.time_ns() // 1000)

    def _note(self, seen: list[Seen], answer: dict[str, Any], sent_us: int, answered_us: int) -> None:
        rejected = {each["index"]: each["code"] for each in answer["rejected"]}
        for index, each in enumerate(seen):
            if index in rejected:
                self._ledger.failed(f"POST /v1/impressions: rejected, {rejected[index]}")
                continue
            earliest_us, latest_us = each.offline_us or sent_us, each.offline_us or answered_us
            impression = Impression(earliest_us, latest_us, each.session)
            self._ledger.acknowledged(each.token, each.campaign, self.day.user_id, impression)

    async def _request(self, method: str, path: str, document: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and answer; (0, {}) if there was none. What isn't a success is in the ledger."""
        what = f"{method} {path.partition('?')[0]}"
        try:
            async with self._session.request(method, path, json=document) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._ledger.failed(f"{what}: {type(error).__name__}")
            return 0, {}
        if not response.ok:
            self._ledger.failed(f"{what}: {response.status} {answer.get('code', '')}")
        return response.status, answer

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return


def _event(seen: Seen) -> dict[str, str]:
    if seen.offline_us is None:
        return {"token": seen.token}
    occurred_at = datetime.fromtimestamp(seen.offline_us / 1e6, UTC).isoformat()
    return {"token": seen.token, "occurred_at": occurred_at}
