"""What can go wrong between a client and its server. `touches` says whose connections it disturbs."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from tests.adversity.chaos.proxy import Fault, Link
from tests.adversity.chaos.wire import Message, Point

Touches = Callable[[Link], bool]
Place = Literal["inside", "before done", "after done"]
Side = Literal["before", "after"]
_COPY_DATA: Final = "d"
_COPY_DONE: Final = "c"
_SYNC: Final = "S"
_QUERY: Final = "Q"


def everyone(_link: Link) -> bool:
    return True


def named(prefix: str) -> Touches:
    """Connections whose application_name begins so."""
    return lambda link: link.application.startswith(prefix)


class Delay(Fault):
    """What arrives together passes together, so many seconds later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed_at: dict[tuple[Link, str], float] = {}

    async def from_client(self, link: Link, message: Message, point: Point | None) -> None:
        await self._wait(link, "client")
        await super().from_client(link, message, point)

    async def from_server(self, link: Link, data: bytes) -> None:
        await self._wait(link, "server")
        await super().from_server(link, data)

    async def _wait(self, link: Link, side: str) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._passed_at.get((link, side), 0.0) > self._seconds / 2:
            await asyncio.sleep(self._seconds)
        self._passed_at[link, side] = loop.time()


class BlackHole(Fault):
    """Nothing passes and nothing ends, also on new connections.

    At its end what was sent meanwhile arrives, however late (`deliver`), or the connections are cut.
    """

    def __init__(self, touches: Touches, *, deliver: bool) -> None:
        self._touches = touches
        self._deliver = deliver
        self._over = asyncio.Event()

    async def from_client(self, link: Link, message: Message, point: Point | None) -> None:
        if await self._passes(link):
            await super().from_client(link, message, point)

    async def from_server(self, link: Link, data: bytes) -> None:
        if await self._passes(link):
            await super().from_server(link, data)

    async def client_ended(self, link: Link) -> None:
        if await self._passes(link):
            await super().client_ended(link)

    async def server_ended(self, link: Link) -> None:
        if await self._passes(link):
            await super().server_ended(link)

    def end(self) -> None:
        self._over.set()

    async def _passes(self, link: Link) -> bool:
        # A connection that is only beginning has no name yet, and can't be told from the others.
        if (not link.application or self._touches(link)) and not self._over.is_set():
            await self._over.wait()
            if not self._deliver:
                link.cut()
        return not link.is_cut


class HalfClosed(Fault):
    """One side sees the end of its connections, the other one believes in them until this is over."""

    def __init__(self, touches: Touches, *, seen_by: Literal["client", "server"]) -> None:
        self._touches = touches
        self._seen_by = seen_by
        self._half: set[Link] = set()
        self._over = asyncio.Event()

    def begin(self, links: set[Link]) -> None:
        self._half = {link for link in links if self._touches(link)}
        for link in self._half:
            link.end_for_client() if self._seen_by == "client" else link.end_for_server()

    async def from_client(self, link: Link, message: Message, point: Point | None) -> None:
        if link not in self._half:
            await super().from_client(link, message, point)

    async def from_server(self, link: Link, data: bytes) -> None:
        if link not in self._half:
            await super().from_server(link, data)

    async def client_ended(self, link: Link) -> None:
        await self._ended(link)

    async def server_ended(self, link: Link) -> None:
        await self._ended(link)

    def end(self) -> None:
        self._over.set()

    async def _ended(self, link: Link) -> None:
        if link in self._half:
            await self._over.wait()
        link.cut()


class CutCopy(Fault):
    """Cuts the next COPYs: inside the data, after it, or after CopyDone, when the commit stays unknown."""

    def __init__(self, place: Place, *, times: int) -> None:
        self.struck = asyncio.Event()
        self._place = place
        self._times_left = times

    async def from_client(self, link: Link, message: Message, point: Point | None) -> None:
        if not self._times_left or message.kind not in (_COPY_DATA, _COPY_DONE):
            await super().from_client(link, message, point)
        elif self._place == "inside" and message.kind == _COPY_DATA:
            await link.to_server(message.raw[: len(message.raw) // 2])
            self._cut(link)
        elif self._place == "before done" and message.kind == _COPY_DONE:
            self._cut(link)
        else:
            await super().from_client(link, message, point)
            if message.kind == _COPY_DONE:
                self._cut(link)

    def _cut(self, link: Link) -> None:
        link.cut()
        self._times_left -= 1
        if not self._times_left:
            self.struck.set()


class AtStatement(Fault):
    """Calls `strike` just before a statement is forwarded, or just after, before its answer is.

    After the strike nothing passes on that connection any more. `anywhere()` makes the next statement do.
    """

    def __init__(self, touches: Touches, point: Point, side: Side, strike: Callable[[], None]) -> None:
        self.struck = asyncio.Event()
        self.point: Point | None = point
        self._touches = touches
        self._side = side
        self._strike = strike
        self._executing: Link | None = None
        self._victim: Link | None = None

    def anywhere(self) -> None:
        if not self.struck.is_set() and self._executing is None:
            self.point = None

    async def from_client(self, link: Link, message: Message, point: Point | None) -> None:
        if link is self._victim:
            return
        free = self._victim is None and self._executing is None and self._touches(link)
        here = free and point is not None and self.point in (point, None)
        if here:
            self.point = point
        if here and self._side == "before":
            self._hit(link)
            return
        await super().from_client(link, message, point)
        if here and message.kind != _QUERY:
            self._executing = link  # without the Sync that follows nothing is committed
        elif here or (self._executing is link and message.kind == _SYNC):
            self._hit(link)

    async def from_server(self, link: Link, data: bytes) -> None:
        if link is not self._victim:
            await super().from_server(link, data)

    def _hit(self, link: Link) -> None:
        self._executing, self._victim = None, link
        self._strike()
        self.struck.set()
