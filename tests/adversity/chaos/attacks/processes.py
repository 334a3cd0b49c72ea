"""Attacks on the service's own processes."""

import asyncio
import os
import signal
from typing import Final

import psutil  # type: ignore[import-untyped]

from tests.adversity.chaos.attacks.chance import Chance
from tests.adversity.chaos.attacks.connections import struck, within
from tests.adversity.chaos.faults import AtStatement, Side, named
from tests.adversity.chaos.rig import MERGER, WORKERS, MergeStatements, Rig
from tests.adversity.chaos.wire import Point
from tests.support.waiting import until

_RARE_SECONDS: Final = 4.0
_HOUR_SECONDS: Final = 3600.0


async def kill_worker(rig: Rig, chance: Chance) -> str:
    pid = chance.dice.choice(rig.worker_pids())
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pid not in rig.worker_pids(), "the worker is gone")
    return "one of two"


async def kill_maintenance(rig: Rig, chance: Chance) -> str:
    rig.maintain.signal(signal.SIGKILL)
    await rig.maintain.ended()
    lasted = await chance.last()
    await rig.start_maintenance()
    return f"{lasted} there was none"


async def kill_merge_at_statement(rig: Rig, chance: Chance) -> str:
    """In turn before and after each statement of a whole cycle."""
    point, side = chance.turn(fault_points(rig.statements))
    maintain = rig.maintain
    fault = AtStatement(named(MERGER), point, side, lambda: maintain.signal(signal.SIGKILL))
    async with struck(rig, rig.cluster.primary, fault):
        # Some come only when a flusher has written to a table that was just left.
        asyncio.get_running_loop().call_later(_RARE_SECONDS, fault.anywhere)
        await within(fault.struck, f"the merge comes to {point}")
        await maintain.ended()
    await rig.start_maintenance()
    return f"{side} {fault.point}{'' if fault.point == point else f', since {point} did not come'}"


async def stop_worker(rig: Rig, chance: Chance) -> str:
    return await _suspended(chance.dice.choice(rig.worker_pids()), chance)


async def stop_maintenance(rig: Rig, chance: Chance) -> str:
    return await _suspended(rig.maintain.pid, chance)


async def step_clock(rig: Rig, chance: Chance) -> str:
    hours = chance.turn((1, -1))
    stepped = chance.dice.choice(((0,), (1,), tuple(range(WORKERS))))
    for worker in stepped:
        rig.clocks.step(worker, hours * _HOUR_SECONDS)
    try:
        lasted = await chance.last()
    finally:
        rig.clocks.mend()
    return f"{hours:+d} h in {len(stepped)} of {WORKERS} workers {lasted}, then back"


def fault_points(statements: MergeStatements) -> list[tuple[Point, Side]]:
    """Both sides of every statement that a cycle of merge and rotation comes to, in a fixed order."""
    sides: tuple[Side, ...] = ("before", "after")
    return [(point, side) for point in sorted(statements.learnt, key=str) for side in sides]


async def _suspended(pid: int, chance: Chance) -> str:
    process = psutil.Process(pid)
    process.suspend()
    try:
        return await chance.last()
    finally:
        process.resume()
