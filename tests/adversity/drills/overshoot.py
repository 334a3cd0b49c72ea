"""How far a cap is overshot: by one process, and by several between which users switch at random.

    python -m tests.adversity.drills.overshoot [--journeys 100000] [--json]

A journey: fetch the popups, show some of them, confirm those (sometimes twice), at once and without a
pause. A user makes several in a row, each request over a connection to a worker taken at random.
Counted on the phones' side: impressions of a campaign beyond its cap. Exit code 1 if one process
overshoots at all.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer
import uvloop

from tayang.user_token import mint
from tests.adversity.drills.http import Wire, get_popups, post_impressions, wires_to_each_worker
from tests.adversity.drills.stack import HOST, Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory
from tests.support.service import USER_SECRET

#: By campaign. Reached within a user's journeys, so that nearly each of them is about a cap.
CAPS: Final = {"once": 1, "twice": 2, "thrice": 3}
JOURNEYS_OF_A_USER: Final = 5
_AT_ONCE: Final = 64
_RESENT_SHARE: Final = 0.1
_SHOWN_SHARE: Final = 0.8


@dataclass
class Overshoot:
    """`beyond` tells of how many pairs of user and campaign were shown so many times too often."""

    journeys: int = 0
    impressions: int = 0
    beyond: Counter[int] = field(default_factory=Counter)
    refused: int = 0

    @property
    def too_often(self) -> int:
        return sum(extra * pairs for extra, pairs in self.beyond.items())

    def add(self, shown: Mapping[str, int]) -> None:
        """One user's; of some campaigns it may have been shown none."""
        self.beyond.update(max(0, shown.get(key, 0) - cap) for key, cap in CAPS.items())

    def as_dict(self) -> dict[str, Any]:
        pairs = sum(self.beyond.values())
        return {
            "journeys": self.journeys,
            "impressions": self.impressions,
            "refused": self.refused,
            "beyond_the_cap": self.too_often,
            "per_1000_impressions": round(1000 * self.too_often / max(1, self.impressions), 3),
            "pairs_by_overshoot": {str(extra): self.beyond[extra] for extra in sorted(self.beyond)},
            "pairs": pairs,
        }


class Travellers:
    """Users who make their journeys one after another, `_AT_ONCE` users at a time."""

    def __init__(self, workers: list[list[Wire]], users: int, seed: int) -> None:
        self.found = Overshoot()
        self._free: list[asyncio.Queue[Wire]] = [_queue_of(wires) for wires in workers]
        self._users = iter(range(users))
        self._dice = random.Random(seed)

    async def travel(self) -> Overshoot:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._some_users())
        return self.found

    async def _some_users(self) -> None:
        for number in self._users:
            jwt = mint(USER_SECRET, f"traveller-{number}").encode()
            shown: Counter[str] = Counter()
            for _ in range(JOURNEYS_OF_A_USER):
                await self._journey(jwt, shown)
            self.found.add(shown)

    async def _journey(self, jwt: bytes, shown: Counter[str]) -> None:
        self.found.journeys += 1
        popups = json.loads(await self._ask(get_popups(jwt, b"placement=home"), 200))["popups"]
        for popup in popups:
            if self._dice.random() < _SHOWN_SHARE:
                shown[popup["campaign"]] += 1
                self.found.impressions += 1
                confirmation = post_impressions(jwt, {"token": popup["token"]})
                await self._ask(confirmation, 202)
                if self._dice.random() < _RESENT_SHARE:
                    await self._ask(confirmation, 202)

    async def _ask(self, request: bytes, expected: int) -> bytes:
        """Over a connection to a worker taken at random."""
        free = self._dice.choice(self._free)
        wire = await free.get()
        try:
            status, body = await wire.ask(request)
        finally:
            free.put_nowait(wire)
        if status != expected:
            self.found.refused += 1
            raise RuntimeError(f"status {status} instead of {expected}: {body[:200]!r}")
        return body


def _queue_of(wires: list[Wire]) -> asyncio.Queue[Wire]:
    queue: asyncio.Queue[Wire] = asyncio.Queue()
    for wire in wires:
        queue.put_nowait(wire)
    return queue


async def measure(stack: Stack, *, workers: int, journeys: int, seed: int) -> Overshoot:
    for key, cap in CAPS.items():
        await stack.create_campaign(key, caps=[{"limit": cap, "window": "lifetime"}])
    wires = await wires_to_each_worker(HOST, stack.port, workers, max(4, _AT_ONCE // workers))
    try:
        return await Travellers(wires, journeys // JOURNEYS_OF_A_USER, seed).travel()
    finally:
        for wire in (wire for some in wires for wire in some):
            wire.close()


async def _drill(journeys: int, seed: int) -> Iterator[tuple[str, Overshoot]]:
    plan: list[tuple[str, int, str, int]] = [
        ("1 process", 1, "on", journeys),
        ("4 processes, with announcements", 4, "on", journeys // 2),
        ("4 processes, without announcements", 4, "off", journeys // 2),
    ]
    results = []
    with servers_directory("tayang-drill-") as directory:
        async with own_cluster(directory) as (cluster, servers):
            for name, workers, announcements, count in plan:
                async with running_stack(
                    cluster, servers, directory / f"{workers}-{announcements}",
                    workers=workers, peer_announcements=announcements,
                ) as stack:  # fmt: skip
                    print(f"{name}: {count} journeys …", file=sys.stderr, flush=True)  # noqa: T201
                    results.append((name, await measure(stack, workers=workers, journeys=count, seed=seed)))
    return iter(results)


def main(
    journeys: Annotated[int, typer.Option(min=100)] = 100_000,
    seed: int = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    results = dict(uvloop.run(_drill(journeys, seed)))
    if as_json:
        print(json.dumps({name: found.as_dict() for name, found in results.items()}, indent=1))  # noqa: T201
    else:
        for name, found in results.items():
            print(f"{name}: {json.dumps(found.as_dict())}")  # noqa: T201
    raise SystemExit(1 if results["1 process"].too_often else 0)


if __name__ == "__main__":
    typer.run(main)
