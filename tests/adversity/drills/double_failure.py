"""API processes and PostgreSQL killed together: what of the acknowledged is lost, by commit mode.

    python -m tests.adversity.drills.double_failure [--rounds 10] [--json]

Each round: impressions are posted as fast as 16 connections do; at a random moment the workers, their
supervisor and every process of the primary get SIGKILL; all is started again, and the log is compared
with what was acknowledged. Exit code 1 if a logged buffer with synchronous commit has lost anything.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
import psutil  # type: ignore[import-untyped]
import typer
import uvloop

from tayang.embedded import EmbeddedCluster
from tests.adversity.drills.http import Wire
from tests.adversity.drills.posting import Posts
from tests.adversity.drills.stack import HOST, Stack, running_stack
from tests.adversity.ground import Servers, own_cluster
from tests.support.directories import servers_directory
from tests.support.waiting import until

MODES: Final[Mapping[str, Mapping[str, Any]]] = {
    "unlogged": {"buffer_persistence": "unlogged"},
    "logged, asynchronous commit": {"buffer_persistence": "logged", "buffer_synchronous_commit": "off"},
    "logged": {"buffer_persistence": "logged"},
}
_CONNECTIONS: Final = 16
_WORKERS: Final = 2
_LOAD_SECONDS: Final = (0.8, 1.6)
_ROWS_LEFT: Final = """
    SELECT count(*) FROM impression_buffer AS b LEFT JOIN buffer_watermarks AS w USING (instance)
    WHERE b.seq > coalesce(w.seq, 0)"""


@dataclass
class Losses:
    """Of each round: acknowledged, lost, and how long before the kill the first lost one was acknowledged."""

    acknowledged: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    lost_ms: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rounds": len(self.lost),
            "acknowledged": sum(self.acknowledged),
            "lost": sum(self.lost),
            "lost_in_a_round_max": max(self.lost),
            "lost_ms_before_the_kill_max": round(max(self.lost_ms), 1),
        }


async def one_round(stack: Stack, campaign_id: int, seconds: float, losses: Losses) -> None:
    posts = Posts(campaign_id, users=500)
    acked: dict[UUID, float] = {}
    wires = [await Wire.open(HOST, stack.port) for _ in range(_CONNECTIONS)]
    posting = [asyncio.create_task(_post(wire, posts, acked)) for wire in wires]
    await asyncio.sleep(seconds)
    killed_at = time.monotonic()
    await _kill_together(stack)
    await asyncio.gather(*posting)
    for wire in wires:
        wire.close()
    await stack.servers.run(stack.cluster.primary.start)
    await stack.start_serving()
    await stack.ready()
    logged = await _logged(stack, posts)
    lost = acked.keys() - logged
    losses.acknowledged.append(len(acked))
    losses.lost.append(len(lost))
    losses.lost_ms.append(max((killed_at - acked[one] for one in lost), default=0.0) * 1000)


async def _post(wire: Wire, posts: Posts, acked: dict[UUID, float]) -> None:
    """Until the connection breaks."""
    while True:
        request, number = posts.next()
        try:
            status, _ = await wire.ask(request)
        except (OSError, EOFError, TimeoutError):
            return
        if status == 202:
            acked[posts.ids[number]] = time.monotonic()


async def _kill_together(stack: Stack) -> None:
    supervisor = psutil.Process(stack.serve.pid)
    processes = [supervisor, *supervisor.children()]
    for process in processes:
        process.suspend()  # so that none sees another's death
    await stack.servers.run(stack.cluster.primary.kill)
    for process in processes:
        process.kill()
    await stack.serve.kill()


async def _logged(stack: Stack, posts: Posts) -> set[UUID]:
    """What is in the log once the buffer is merged."""
    connection = await asyncpg.connect(stack.primary_dsn)
    try:

        async def merged() -> bool:
            return bool(await connection.fetchval(_ROWS_LEFT) == 0)

        await until(merged, "what is left in the buffer is merged", seconds=30)
        rows = await connection.fetch(
            "SELECT impression_id FROM impressions WHERE impression_id = ANY($1::uuid[])", posts.ids
        )
        return {UUID(str(row["impression_id"])) for row in rows}
    finally:
        connection.terminate()


async def drill(
    cluster: EmbeddedCluster, servers: Servers, directory: Path, *, rounds: int, seed: int
) -> dict[str, Losses]:
    dice = random.Random(seed)
    found = {}
    for number, (mode, settings) in enumerate(MODES.items()):
        losses = found[mode] = Losses()
        async with running_stack(
            cluster, servers, directory / str(number), workers=_WORKERS, **settings
        ) as stack:
            campaign_id = await stack.create_campaign("any")
            for _ in range(rounds):
                print(f"{mode}: round {len(losses.lost) + 1} of {rounds}", file=sys.stderr, flush=True)  # noqa: T201
                await one_round(stack, campaign_id, dice.uniform(*_LOAD_SECONDS), losses)
    return found


async def _run(rounds: int, seed: int) -> dict[str, Losses]:
    with servers_directory("tayang-drill-") as directory:
        async with own_cluster(directory) as (cluster, servers):
            return await drill(cluster, servers, directory, rounds=rounds, seed=seed)


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 10,
    seed: int = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    found = {mode: losses.as_dict() for mode, losses in uvloop.run(_run(rounds, seed)).items()}
    for mode, figures in () if as_json else found.items():
        print(f"{mode}: {json.dumps(figures)}")  # noqa: T201
    if as_json:
        print(json.dumps(found, indent=1))  # noqa: T201
    raise SystemExit(1 if found["logged"]["lost"] else 0)


if __name__ == "__main__":
    typer.run(main)
