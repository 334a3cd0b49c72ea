"""How soon a campaign is gone that was paused, archived or deleted: each worker's last answer with it.

    python -m tests.adversity.drills.pause [--rounds 120] [--workers 4] [--campaigns 50] [--json]

Phones ask each worker for popups and confirm what they are shown. Each round the campaign goes live, and
is then taken out through the admin API. Measured from the admin's answer, and from the admin's request, to
the last answer of each worker that still has the campaign (0: there was none after that moment). Exit code 1
if a worker has it again after it was gone.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import aiohttp
import asyncpg
import typer
import uvloop

from loadtests.figures import percentile
from tayang.user_token import mint
from tests.adversity.drills.http import Wire, get_popups, post_impressions, wires_to_each_worker
from tests.adversity.drills.stack import HOST, Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory
from tests.support.service import ADMIN_KEY, USER_SECRET
from tests.support.waiting import until

KEY: Final = "target"
WAYS: Final = ("pause", "archive", "delete")
_SHOWN: Final = f'"campaign":"{KEY}"'.encode()
_QUERY: Final = b"placement=home&limit=3"
_WIRES_EACH: Final = 4
_FILLERS_AT_HOME: Final = 20
_FILL: Final = """
    INSERT INTO campaigns (
        key, name, status, priority, placement, timezone, schedule, audience, caps, variants
    )
    SELECT
        'filler-' || n, 'Filler', 'live', 10, CASE WHEN n <= $2 THEN 'home' ELSE 'place-' || n % 20 END,
        'Asia/Jakarta', '[]', 'everyone', '[{"limit": 64, "window": "24h"}]',
        '[{"key": "a", "weight": 1, "content": {"title": "Promo", "body": "Only this week, everywhere."}}]'
    FROM generate_series(1, $1) AS n
    """


@dataclass(frozen=True)
class Plan:
    """So long, and so often, each worker is asked on after the campaign is gone."""

    rounds: int
    workers: int
    campaigns: int = 50
    per_second: float = 1000.0
    quiet_seconds: float = 0.5
    answers: int = 20


@dataclass
class Watched:
    """What one worker has answered in a round since everybody saw the campaign. Times of the loop's clock."""

    last_with: float = 0.0
    first_without: float | None = None
    answers_without: int = 0
    came_back: int = 0

    def note(self, asked_at: float, answered_at: float, *, shown: bool) -> None:
        if not shown:
            self.first_without = self.first_without or answered_at
            self.answers_without += 1
            return
        self.last_with = answered_at
        if self.first_without is not None and asked_at > self.first_without:
            self.came_back += 1


@dataclass
class Found:
    """In seconds, one of each worker and round. `delays` by way: since the admin's answer."""

    delays: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    since_request: list[float] = field(default_factory=list)
    came_back: int = 0
    answers: int = 0

    def as_dict(self) -> dict[str, Any]:
        every = [delay for delays in self.delays.values() for delay in delays]
        ways = {"all": every, **self.delays, "all_since_the_request": self.since_request}
        return {
            **{way: _milliseconds(delays) for way, delays in ways.items() if delays},
            "over_300_ms": sum(delay > 0.3 for delay in every),
            "came_back": self.came_back,
            "answers_watched": self.answers,
        }


class Phone:
    """Asks one worker, and confirms the first popup that it is shown."""

    def __init__(self, wire: Wire, user: str, seen: Callable[[float, float, bool], None]) -> None:
        self.shown = False  # in the last answer
        self._wire = wire
        self._jwt = mint(USER_SECRET, user).encode()
        self._seen = seen

    async def use(self, pause_seconds: float) -> None:
        while True:
            asked_at = time.perf_counter()
            body = await self._ask(get_popups(self._jwt, _QUERY), 200)
            self.shown = _SHOWN in body
            self._seen(asked_at, time.perf_counter(), self.shown)
            popups = json.loads(body)["popups"]
            if popups:
                await self._ask(post_impressions(self._jwt, {"token": popups[0]["token"]}), 202)
            await asyncio.sleep(pause_seconds)

    async def _ask(self, request: bytes, expected: int) -> bytes:
        status, body = await self._wire.ask(request)
        if status != expected:
            raise RuntimeError(f"status {status} instead of {expected}: {body[:200]!r}")
        return body


class Audience:
    """Phones at every worker, and what each worker has answered in this round."""

    def __init__(self, workers: list[list[Wire]]) -> None:
        self.watched = [Watched() for _ in workers]
        self.answers = 0
        self.phones = [
            Phone(wire, f"phone-{worker}-{number}", self._seer(worker))
            for worker, wires in enumerate(workers)
            for number, wire in enumerate(wires)
        ]

    def begin(self) -> None:
        self.watched = [Watched() for _ in self.watched]

    def all_see_it(self) -> bool:
        """Then every later answer has it, until it is taken out: each phone asks one question at a time."""
        return all(phone.shown for phone in self.phones)

    def gone(self, answers: int) -> bool:
        return all(one.answers_without >= answers for one in self.watched)

    def _seer(self, worker: int) -> Callable[[float, float, bool], None]:
        def seen(asked_at: float, answered_at: float, shown: bool) -> None:
            self.answers += 1
            self.watched[worker].note(asked_at, answered_at, shown=shown)

        return seen


async def measure(stack: Stack, plan: Plan) -> Found:
    """The rounds take the ways in turn."""
    await stack.create_campaign(KEY, priority=1)
    await _fill(stack, plan.campaigns - 1)
    wires = await wires_to_each_worker(HOST, stack.port, plan.workers, _WIRES_EACH)
    audience, found = Audience(wires), Found()
    try:
        async with _asking(audience, len(audience.phones) / plan.per_second), _admin(stack) as admin:
            for number in range(plan.rounds):
                await _round(admin, audience, WAYS[number % len(WAYS)], plan, found)
    finally:
        for wire in (wire for some in wires for wire in some):
            wire.close()
    found.answers = audience.answers
    return found


async def _round(
    admin: aiohttp.ClientSession, audience: Audience, way: str, plan: Plan, found: Found
) -> None:
    await _change(admin, "live")
    await until(audience.all_see_it, "every phone sees the campaign")
    audience.begin()
    asked_at = time.perf_counter()
    await _change(admin, way)
    done_at = time.perf_counter()
    await asyncio.sleep(plan.quiet_seconds)
    await until(lambda: audience.gone(plan.answers), "the campaign is gone from every worker")
    for watched in audience.watched:
        found.delays[way].append(max(0.0, watched.last_with - done_at))
        found.since_request.append(max(0.0, watched.last_with - asked_at))
        found.came_back += watched.came_back


async def _change(admin: aiohttp.ClientSession, way: str) -> None:
    """Returns at the answer's head; nothing of its body is waited for."""
    url = f"/v1/admin/campaigns/{KEY}"
    status = {"live": "live", "pause": "paused", "archive": "archived"}.get(way)
    request = admin.delete(url) if status is None else admin.patch(url, json={"status": status})
    async with request as response:
        assert response.status in (200, 204), await response.text()


@asynccontextmanager
async def _asking(audience: Audience, pause_seconds: float) -> AsyncIterator[None]:
    """Phones that ask until the block ends. One that fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(phone.use(pause_seconds)) for phone in audience.phones]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def _admin(stack: Stack) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}
    return aiohttp.ClientSession(stack.shell.url, headers=headers)


async def _fill(stack: Stack, campaigns: int) -> None:
    connection = await asyncpg.connect(stack.primary_dsn)
    try:
        await connection.execute(_FILL, campaigns, _FILLERS_AT_HOME)
    finally:
        await connection.close()


def _milliseconds(delays: list[float]) -> dict[str, float]:
    figures = {"p50_ms": percentile(delays, 50), "p99_ms": percentile(delays, 99), "max_ms": max(delays)}
    return {"samples": len(delays), **{name: round(1000 * value, 1) for name, value in figures.items()}}


async def _drill(plan: Plan) -> Found:
    """On servers of its own, which sync to a disk."""
    with servers_directory("tayang-drill-", memory=False) as directory:
        async with (
            own_cluster(directory, durable=True) as (cluster, servers),
            running_stack(cluster, servers, directory / "service", workers=plan.workers) as stack,
        ):
            return await measure(stack, plan)


def main(
    rounds: Annotated[int, typer.Option(min=3)] = 120,
    workers: Annotated[int, typer.Option(min=1)] = 4,
    campaigns: Annotated[int, typer.Option(min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    found = uvloop.run(_drill(Plan(rounds, workers, campaigns)))
    print(json.dumps(found.as_dict(), indent=1 if as_json else None))  # noqa: T201
    sys.exit(1 if found.came_back else 0)


if __name__ == "__main__":
    typer.run(main)
