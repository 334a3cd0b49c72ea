"""The primary dies under load and the replica is promoted: how long reads and writes fail, and what is lost.

    python -m tests.adversity.drills.failover [--tps 1000] [--picture docs/failover.svg] [--json]

Requests leave by a timetable, whatever became of the ones before. The primary gets SIGKILL; an operator
(here: the drill) promotes the replica a second later. Exit code 1 if an acknowledged impression is lost
or doubled, reads fail for more than a second, or writes do not resume.
"""

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import asyncpg
import typer
import uvloop

from tests.adversity.drills.http import Wire
from tests.adversity.drills.posting import Posts
from tests.adversity.drills.stack import HOST, Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory
from tests.support.waiting import until

Kind = Literal["read", "write"]
_KILL_AT: Final = 5.0
_PROMOTE_AFTER: Final = 1.0
_AFTER_SECONDS: Final = 8.0  # the promotion
_READ_SHARE: Final = 3  # of four requests
#: Of each kind: writes that wait for the new primary must not keep reads from being sent.
_CONNECTIONS: Final = 2000
_WORKERS: Final = 2
READS_MAY_FAIL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`sent` and `answered` in seconds since the start; `status` 0 means a broken connection or no answer."""

    kind: Kind
    sent: float
    answered: float
    status: int

    @property
    def good(self) -> bool:
        return self.status in (200, 202)


@dataclass
class Timeline:
    answers: list[Answer] = field(default_factory=list)
    killed_at: float = 0.0
    promoted_at: float = 0.0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0

    def gap(self, kind: Kind) -> float:
        """The longest time without a good answer, in seconds."""
        times = sorted(answer.answered for answer in self.answers if answer.kind == kind and answer.good)
        edges = [0.0, *times, max(answer.answered for answer in self.answers)]
        return max(later - earlier for earlier, later in itertools.pairwise(edges))

    def resumed_after(self, kind: Kind) -> float:
        """From the promotion to the first good answer to a request that was sent after it."""
        times = [a.answered for a in self.answers if a.kind == kind and a.good and a.sent > self.promoted_at]
        return min(times, default=float("inf")) - self.promoted_at

    def as_dict(self) -> dict[str, Any]:
        statuses: dict[str, dict[str, int]] = {"read": {}, "write": {}}
        for answer in self.answers:
            of_kind = statuses[answer.kind]
            of_kind[str(answer.status)] = of_kind.get(str(answer.status), 0) + 1
        return {
            "requests": len(self.answers),
            "statuses": statuses,
            "promoted_after_seconds": round(self.promoted_at - self.killed_at, 2),
            "longest_without_a_read_seconds": round(self.gap("read"), 3),
            "longest_without_a_write_seconds": round(self.gap("write"), 3),
            "writes_resumed_after_promotion_seconds": round(self.resumed_after("write"), 3),
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "doubled": self.doubled,
        }

    @property
    def passed(self) -> bool:
        fine = self.gap("read") <= READS_MAY_FAIL_SECONDS and self.resumed_after("write") < float("inf")
        return fine and not self.lost and not self.doubled


class Traffic:
    """Sends by a timetable; each request takes a free connection, or opens one."""

    def __init__(self, stack: Stack, posts: Posts, timeline: Timeline) -> None:
        self.started = time.monotonic()
        self.acked: set[UUID] = set()
        self._stack = stack
        self._posts = posts
        self._timeline = timeline
        self._free: list[Wire] = []
        self._bounds = {kind: asyncio.Semaphore(_CONNECTIONS) for kind in ("read", "write")}

    @property
    def now(self) -> float:
        return time.monotonic() - self.started

    async def run(self, per_second: int, attack: asyncio.Task[None], after: float) -> None:
        """Until so many seconds after the attack."""
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                due = number / per_second
                if attack.done() and due > self._timeline.promoted_at + after:
                    break
                if due > self.now:
                    await asyncio.sleep(due - self.now)
                kind: Kind = "write" if number % 4 == _READ_SHARE else "read"
                group.create_task(self._one(kind, due))
        for wire in self._free:
            wire.close()

    async def _one(self, kind: Kind, due: float) -> None:
        request, number = self._posts.next() if kind == "write" else (self._posts.get(), -1)
        status = 0
        async with self._bounds[kind]:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                async with self._wire() as wire:
                    status, _ = await wire.ask(request)
        if status == 202:
            self.acked.add(self._posts.ids[number])
        self._timeline.answers.append(Answer(kind, due, self.now, status))

    @contextlib.asynccontextmanager
    async def _wire(self) -> AsyncIterator[Wire]:
        """A connection; free again afterwards, unless it broke."""
        wire = self._free.pop() if self._free else await Wire.open(HOST, self._stack.port)
        try:
            yield wire
        except BaseException:
            wire.close()
            raise
        self._free.append(wire)


async def drill(
    stack: Stack, per_second: int, *, kill_at: float = _KILL_AT, after: float = _AFTER_SECONDS
) -> Timeline:
    campaign_id = await stack.create_campaign("any", caps=[{"limit": 5, "window": "24h"}])
    timeline = Timeline()
    posts = Posts(campaign_id, users=2000)
    traffic = Traffic(stack, posts, timeline)
    attacking = asyncio.create_task(_attack(stack, traffic, timeline, kill_at))
    await traffic.run(per_second, attacking, after)
    await attacking
    timeline.acknowledged = len(traffic.acked)
    await _audit(stack, traffic.acked, timeline)
    return timeline


async def _attack(stack: Stack, traffic: Traffic, timeline: Timeline, kill_at: float) -> None:
    await asyncio.sleep(kill_at - traffic.now)
    timeline.killed_at = traffic.now
    await stack.servers.run(stack.cluster.primary.kill)
    await asyncio.sleep(_PROMOTE_AFTER)
    await stack.servers.run(stack.cluster.fail_over)  # the dead one is killed once more
    timeline.promoted_at = traffic.now


async def _audit(stack: Stack, acked: set[UUID], timeline: Timeline) -> None:
    """On the new primary, once everything acknowledged is merged (or is not, and then it is lost)."""
    connection = await asyncpg.connect(stack.primary_dsn)
    try:

        async def missing() -> set[UUID]:
            rows = await connection.fetch(
                "SELECT impression_id FROM impressions WHERE impression_id = ANY($1::uuid[])", list(acked)
            )
            return acked - {UUID(str(row["impression_id"])) for row in rows}

        async def nothing_missing() -> bool:
            return not await missing()

        try:
            await until(nothing_missing, "everything acknowledged is merged", seconds=20)
        except AssertionError:
            timeline.lost = len(await missing())
        logged = await connection.fetchval("SELECT count(*) FROM impressions")
        counted = await connection.fetchval("SELECT sum(total) FROM user_campaign_counts")
        timeline.doubled = int(counted) - int(logged)
    finally:
        connection.terminate()


async def _run(per_second: int) -> Timeline:
    with servers_directory("tayang-drill-") as directory:
        async with (
            own_cluster(directory) as (cluster, servers),
            running_stack(
                cluster, servers, directory / "service", workers=_WORKERS, several_hosts=True
            ) as stack,
        ):
            return await drill(stack, per_second)


def main(
    tps: Annotated[int, typer.Option(min=10)] = 1000,
    picture: Annotated[Path | None, typer.Option(help="write the timeline as SVG")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    timeline = uvloop.run(_run(tps))
    if picture is not None:
        from tests.adversity.drills.failover_picture import draw  # noqa: PLC0415  (slow to import)

        draw(timeline, picture)
    print(json.dumps(timeline.as_dict(), indent=None if not as_json else 1))  # noqa: T201
    if not timeline.passed:
        print("failover: the promise was not kept", file=sys.stderr)  # noqa: T201
    raise SystemExit(0 if timeline.passed else 1)


if __name__ == "__main__":
    typer.run(main)
