"""The stages as a shape of Locust's: so many users that their rates make up the stage's."""

from collections.abc import Sequence
from typing import Final

from locust import LoadTestShape

from loadtests.locust.phone import World
from loadtests.locust.stages import Stage, at

#: More than a hundred at a time make Locust stumble, it says.
_SPAWNED_PER_SECOND: Final = 100.0


class Stages(LoadTestShape):
    """Ends the test after the last stage. `set_up` before it starts."""

    def __init__(self, plan: Sequence[Stage]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._plan = plan
        self.world: World | None = None

    def tick(self) -> tuple[int, float] | None:
        elapsed: float = self.get_run_time()  # type: ignore[no-untyped-call]
        stage = at(self._plan, elapsed)
        if stage is None:
            return None
        if self.world is not None:
            self.world.interval_seconds = stage.interval_seconds
        return stage.users, _SPAWNED_PER_SECOND
