"""Throughput and latency of POST by commit mode, in turns, on servers that sync to a disk.

python -m tests.adversity.drills.commit_modes [--rounds 3] [--seconds 5] [--json]
"""

import json
import statistics
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer
import uvloop

from loadtests.figures import percentile
from loadtests.generator import closed_loop
from tests.adversity.drills.double_failure import MODES
from tests.adversity.drills.posting import Posts
from tests.adversity.drills.stack import HOST, running_stack
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory

_WARM_UP_SECONDS: Final = 1.0
_CONNECTIONS: Final = (1, 64)


@dataclass
class Figures:
    """Of each run: requests a second, and percentiles in ms."""

    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "per_second": round(statistics.median(self.per_second)),
            "p50_ms": round(statistics.median(self.p50_ms), 2),
            "p99_ms": round(statistics.median(self.p99_ms), 2),
            "per_second_of_each_run": [round(value) for value in self.per_second],
        }


async def _run(rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    found = {(mode, count): Figures() for count in _CONNECTIONS for mode in MODES}
    with servers_directory("tayang-drill-", memory=False) as directory:
        async with own_cluster(directory, durable=True) as (cluster, servers):
            for number in range(rounds):
                for place, (mode, settings) in enumerate(MODES.items()):
                    print(f"round {number + 1}: {mode}", file=sys.stderr, flush=True)  # noqa: T201
                    async with running_stack(
                        cluster, servers, directory / f"{number}-{place}", workers=1, **settings
                    ) as stack:
                        campaign_id = await stack.create_campaign("any")
                        for count in _CONNECTIONS:
                            posts = Posts(campaign_id, users=2000)
                            await _measure(posts, stack.port, count, seconds, found[mode, count])
    return {f"{mode}, {count} connections": figures.as_dict() for (mode, count), figures in found.items()}


async def _measure(posts: Posts, port: int, connections: int, seconds: float, figures: Figures) -> None:
    load = await closed_loop(
        (HOST, port),
        posts.requests(),
        connections=connections,
        expected_status=202,
        warm_up_seconds=_WARM_UP_SECONDS,
        measure_seconds=seconds,
    )
    figures.per_second.append(len(load.latencies) / load.window_seconds)
    figures.p50_ms.append(percentile(load.latencies, 50) * 1000)
    figures.p99_ms.append(percentile(load.latencies, 99) * 1000)


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0.5)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    found = uvloop.run(_run(rounds, seconds))
    if as_json:
        print(json.dumps(found, indent=1))  # noqa: T201
    for name, figures in () if as_json else found.items():
        print(f"{name}: {json.dumps(figures)}")  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
