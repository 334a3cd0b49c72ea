"""I1, I2, I3 and I6 under random interleavings, in memory; and that the test would see their loss."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from buffer.pending import PendingList
from tests.adversity.interleavings.machine import InMemory
from tests.adversity.interleavings.virtual_time import VirtualLoop
from tests.adversity.interleavings.world import MemoryWorld

THOROUGH = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
#: To find a defect, not to explain it.
QUICK = settings(THOROUGH, max_examples=500, phases=[Phase.generate], database=None)


class Machine(InMemory):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.world = MemoryWorld()


class NeverAgain(PendingList):
    """Does not send again what the database has lost."""

    def rewind(self, watermark: int) -> int:
        del watermark
        return 0


class OneLess(PendingList):
    """Believes that the primary has merged one row more than it has."""

    def rewind(self, watermark: int) -> int:
        return super().rewind(watermark + 1)


class Hasty(PendingList):
    """Forgets what is committed, without waiting for its merge."""

    def forget_through(self, watermark: int) -> None:
        super().forget_through(max(watermark, self.acked_through))


def test_nothing_is_lost_doubled_or_forgotten_too_early() -> None:
    run_state_machine_as_test(Machine, settings=THOROUGH)


@pytest.mark.parametrize("broken", [NeverAgain, OneLess, Hasty])
def test_a_broken_pending_list_is_found_out(broken: type[PendingList]) -> None:
    class Broken(Machine):
        pending_type = broken

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=QUICK)
