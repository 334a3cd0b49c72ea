"""Attacks on the connections between the service and the servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from tayang.embedded import Node
from tests.adversity.chaos.attacks.chance import Chance
from tests.adversity.chaos.faults import (
    BlackHole,
    CutCopy,
    Delay,
    HalfClosed,
    Place,
    Touches,
    everyone,
    named,
)
from tests.adversity.chaos.proxy import Fault
from tests.adversity.chaos.rig import MERGER, Rig

#: What a black hole or a half-closed connection may disturb: all, or those of one name.
_TOUCHED: Final[dict[str, Touches]] = {
    "all": everyone,
    "flushers": named("tayang flusher"),
    "the merger": named(MERGER),
}
_PLACES: Final[tuple[Place, ...]] = ("inside", "before done", "after done")
_SIDES: Final[tuple[Literal["client", "server"], ...]] = ("client", "server")


async def delay(rig: Rig, chance: Chance) -> str:
    seconds = chance.dice.uniform(0.02, 0.3)
    async with struck(rig, node := _either(rig, chance), Delay(seconds)):
        lasted = await chance.last()
    return f"{seconds * 1000:.0f} ms to and from the {_role(rig, node)} {lasted}"


async def cut_copy(rig: Rig, chance: Chance) -> str:
    place = chance.turn(_PLACES)
    times = chance.dice.randint(1, 3)
    fault = CutCopy(place, times=times)
    async with struck(rig, rig.cluster.primary, fault):
        await within(fault.struck, "the flushers COPY")
    return f"{place}, {times} in a row"


async def half_close(rig: Rig, chance: Chance) -> str:
    seen_by = chance.turn(_SIDES)
    whose = chance.dice.choice(sorted(_TOUCHED))
    fault = HalfClosed(_TOUCHED[whose], seen_by=seen_by)
    async with struck(rig, node := _node_of(rig, whose, chance), fault):
        lasted = await chance.last()
    return f"of {whose} to the {_role(rig, node)}, seen by the {seen_by} only, {lasted}"


async def black_hole(rig: Rig, chance: Chance) -> str:
    deliver = chance.turn((True, False))
    whose = chance.dice.choice(sorted(_TOUCHED))
    fault = BlackHole(_TOUCHED[whose], deliver=deliver)
    async with struck(rig, node := _node_of(rig, whose, chance), fault):
        lasted = await chance.last()
    then = "all arrives then" if deliver else "cut then"
    return f"for {whose} to the {_role(rig, node)} {lasted}; {then}"


@asynccontextmanager
async def struck(rig: Rig, node: Node, fault: Fault) -> AsyncIterator[None]:
    """Inside the block the proxy of this server does what the fault says."""
    proxy = rig.proxy(node)
    proxy.strike(fault)
    try:
        yield
    finally:
        proxy.heal()


async def within(struck: asyncio.Event, what: str) -> None:
    try:
        async with asyncio.timeout(15):
            await struck.wait()
    except TimeoutError:
        raise AssertionError(f"the attack found no moment to strike: {what}") from None


def _either(rig: Rig, chance: Chance) -> Node:
    return chance.dice.choice((rig.cluster.primary, rig.cluster.replica))


def _node_of(rig: Rig, whose: str, chance: Chance) -> Node:
    """Flushers and the merger have no connection to the replica."""
    return _either(rig, chance) if whose == "all" else rig.cluster.primary


def _role(rig: Rig, node: Node) -> str:
    return "primary" if node is rig.cluster.primary else "replica"
