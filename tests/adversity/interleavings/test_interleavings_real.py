"""The same interleavings with the real sink, merge and rotation, on a real primary with its replica."""

import asyncio
import time

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.adversity.interleavings.machine import Impressions
from tests.adversity.interleavings.real_world import RealWorld
from tests.support.buffered import NOON, impression_id
from tests.support.database import Database
from tests.support.rows import microseconds

#: Not shrunk: each attempt takes seconds. The steps are printed as they were.
REAL = settings(
    max_examples=6,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def machine_on(database: Database) -> type[Impressions]:
    crashed: list[bool] = []

    class Machine(Impressions):
        world: RealWorld

        def __init__(self) -> None:
            super().__init__()
            self.occurred_at_us = microseconds(NOON)
            self.loop = asyncio.new_event_loop()
            self.world = RealWorld(database, crashed)
            self.do(self.world.empty())

        def new_instance(self) -> int:
            return time.time_ns()

        def new_id(self) -> bytes:
            return impression_id(NOON).bytes

        def check(self) -> None:
            super().check()
            assert self.do(self.world.miscounted()) == 0

        def close(self) -> None:
            self.do(self.world.close())
            super().close()

    return Machine


async def test_nothing_is_lost_doubled_or_forgotten_too_early_by_postgresql(database: Database) -> None:
    machine = machine_on(database)

    # In a thread: the machine runs a loop of its own.
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=REAL)
