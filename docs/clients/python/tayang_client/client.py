"""One user's client: asks for popups, takes down what is shown and done, sends that until it is stored."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import aiohttp

from tayang_client.outbox import Event, Kind, Outbox
from tayang_client.times import Pause, ServerTime

EVENTS_MAX: Final = 100
_ANSWER_SECONDS: Final = 10.0  # the service itself gives up after 5
_DROP_CODES: Final = frozenset({"token_forged", "token_foreign"})
_DROP_STATUSES: Final = frozenset({400, 409, 410, 413, 422})

#: A new JWT of the user; with True the one before was refused, so it must be fetched afresh. Or an API key.
Credentials = Callable[[bool], Awaitable[str]]
#: An event that will never count, the error code, and what the service says of it.
OnDropped = Callable[[Event, str, str], None]


@dataclass(frozen=True)
class Popup:
    """`token` goes back with every event of it, as it is. One that is `held_out` must not be shown."""

    campaign: str
    variant: str
    token: str
    content: Mapping[str, Any]
    expires_at: datetime | None
    held_out: bool = False


@dataclass(frozen=True)
class Answer:
    popups: Sequence[Popup]
    held_out: Sequence[Popup]
    next_fetch_seconds: float


class TayangError(Exception):
    """No popups now: show none, and ask again in `retry_seconds`."""

    def __init__(self, code: str, detail: str, retry_seconds: float) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_seconds = retry_seconds


class TayangClient:
    """`session` has the service's base URL. With an API key: `as_service`. `run()` is one task."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        user_id: str,
        credentials: Credentials,
        outbox: Outbox,
        *,
        on_dropped: OnDropped = lambda _event, _code, _detail: None,
        as_service: bool = False,
        time: ServerTime | None = None,
        pause: Callable[[], Pause] = Pause,
    ) -> None:
        self.time = time or ServerTime()
        self._session = session
        self._user_id = user_id
        self._credentials = credentials
        self._outbox = outbox
        self._on_dropped = on_dropped
        self._own = {"user_id": user_id} if as_service else {}
        # Apart: popups are served also while nothing can be stored.
        self._pauses = {"GET": pause(), "POST": pause()}
        self._batch = EVENTS_MAX
        self._sending = asyncio.Lock()
        self._added = asyncio.Event()

    async def popups(self, placement: str, **context: str) -> Answer:
        """What may be shown now. What was shown is confirmed first, as caps count it. Raises TayangError."""
        await self.flush()
        if (wait := self._pauses["GET"].seconds) > 0:
            raise TayangError("waiting", "the service has asked to wait", wait)
        status, document = await self._ask("GET", "/v1/popups", {"placement": placement, **context})
        if status != 200:  # noqa: PLR2004
            code, detail = document.get("code", "no_answer"), document.get("detail", "")
            raise TayangError(code, detail, self._pauses["GET"].seconds)
        return Answer(
            [_popup(each) for each in document["popups"]],
            [_popup(each, held_out=True) for each in document.get("held_out", ())],
            document["next_fetch_seconds"],
        )

    def may_show(self, popup: Popup) -> bool:
        expires = popup.expires_at
        return not popup.held_out and expires is not None and self.time.seconds_until(expires) > 0

    def shown(self, popup: Popup) -> None:
        """Call it when the popup is on the screen: on disk when this returns, sent by `run` or `flush`."""
        self._add(popup, "impression")

    def did(self, popup: Popup, kind: Kind) -> None:
        """`click`, `dismiss` or `convert`; of what is held out `convert` alone."""
        self._add(popup, kind)

    async def run(self) -> None:
        """Send what comes, until cancelled; what is left stays on disk."""
        while True:
            self._added.clear()
            wait = await self.flush()
            # A new event doesn't cut a pause short.
            await (asyncio.sleep(wait) if wait else self._added.wait())

    async def flush(self) -> float:
        """Send what is there. Returns 0.0 if nothing is left, else after how many seconds to try again."""
        async with self._sending:
            while events := self._outbox.first(self._user_id, self._batch):
                if (wait := self._pauses["POST"].seconds) > 0:
                    return wait
                await self._send(events)
            self._batch = EVENTS_MAX
        return 0.0

    async def _send(self, events: list[Event]) -> None:
        plural = "impressions" if events[0].kind == "impression" else "interactions"
        body = {plural: [event.document() for event in events]}
        status, document = await self._ask("POST", f"/v1/{plural}", {}, body)
        if status == 202:  # noqa: PLR2004
            self._outbox.remove(events)
            for each in document["rejected"]:
                self._on_dropped(events[each["index"]], each["code"], each["detail"])
        elif never_counts(status, document):
            if len(events) > 1:
                self._batch = len(events) // 2  # too long for something, or one of them spoils it
                return
            self._outbox.remove(events)
            self._on_dropped(events[0], document["code"], document.get("detail", ""))

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and document; 0 without an answer of the service. Sets the pause until the next try."""
        for refused in (False, True):
            status, document, retry_after = 0, None, None
            with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                headers = {"Authorization": f"Bearer {await self._credentials(refused)}"}
                async with (
                    asyncio.timeout(_ANSWER_SECONDS),
                    self._session.request(
                        method, path, params={**query, **self._own}, json=body, headers=headers
                    ) as response,
                ):
                    retry_after = response.headers.get("Retry-After")
                    status, document = response.status, await response.json(content_type=None)
                    self.time.saw(response.headers.get("Date"))
            if status != 401:  # noqa: PLR2004
                break
        mark = "code" if status >= 400 else "popups" if method == "GET" else "accepted"  # noqa: PLR2004
        if not isinstance(document, dict) or mark not in document:
            status, document = 0, {}  # of something in between: it says nothing about our events
        self._note(method, status, document, retry_after)
        return status, document

    def _note(self, method: str, status: int, document: Mapping[str, Any], retry_after: str | None) -> None:
        """Anything that is neither done nor to be dropped has to wait; a rate is of both methods together."""
        if 200 <= status < 300 or never_counts(status, document):  # noqa: PLR2004
            self._pauses[method].succeeded()
            return
        for pausing in self._pauses if status == 429 else (method,):  # noqa: PLR2004
            self._pauses[pausing].failed(retry_after)

    def _add(self, popup: Popup, kind: Kind) -> None:
        now = self.time.now().isoformat()
        dropped = self._outbox.add(self._user_id, popup.token, kind, now)
        if dropped is not None:
            self._on_dropped(dropped, "outbox_full", "it was the oldest of too many that wait")
        self._added.set()


def never_counts(status: int, document: Mapping[str, Any]) -> bool:
    """Whether sending the same again would give the same answer; then it is of no use to keep it."""
    code = document.get("code")
    return code in _DROP_CODES or (status in _DROP_STATUSES and code != "bad_parameter")


def _popup(document: Mapping[str, Any], *, held_out: bool = False) -> Popup:
    expires = document.get("expires_at")
    return Popup(
        document["campaign"],
        document["variant"],
        document["token"],
        document.get("content", {}),
        datetime.fromisoformat(expires) if expires else None,
        held_out,
    )
