"""What rate is offered when: a list of stages, from a shape's name, a rate and a duration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: One of Locust's users is a connection that sends so much; the rate decides how many there are.
USER_REQUESTS_PER_SECOND: Final = 10.0
SHAPES: Final = ("steady", "ramp", "spike", "soak")
#: Requests per second; of a ramp the last step, of a spike the rate before and after it.
RATES: Final = {"steady": 2_000.0, "ramp": 6_000.0, "spike": 600.0, "soak": 1_500.0}
SECONDS: Final = {"steady": 120.0, "ramp": 120.0, "spike": 120.0, "soak": 1_800.0}
SPIKE_TIMES: Final = 5
RAMP_STEPS: Final = 10
_WARM_UP_SHARE: Final = 0.1
_WARM_UP_MAX_SECONDS: Final = 20.0
_CHANGE_MAX_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`measured`: its requests make figures. `gated`: the gates of rate, latency and errors ask for them."""

    name: str
    seconds: float
    rate: float  # requests per second
    measured: bool = True
    gated: bool = True

    @property
    def users(self) -> int:
        return max(1, round(self.rate / USER_REQUESTS_PER_SECOND))

    @property
    def interval_seconds(self) -> float:
        """Between two requests of one user."""
        return self.users / self.rate


def stages(shape: str, rate: float, seconds: float) -> list[Stage]:
    """All together take `seconds`. The first one, and each change of the rate, is left out of the figures."""
    warm_up = _pause("warm-up", min(_WARM_UP_SHARE * seconds, _WARM_UP_MAX_SECONDS), rate)
    if shape == "ramp":
        return _ramp(rate, seconds)
    if shape == "spike":
        return _spike(rate, seconds, warm_up)
    return [warm_up, Stage(name=shape, seconds=seconds - warm_up.seconds, rate=rate)]


def at(plan: Sequence[Stage], elapsed_seconds: float) -> Stage | None:
    """The stage of that moment; None: all are over."""
    for stage in plan:
        if elapsed_seconds < stage.seconds:
            return stage
        elapsed_seconds -= stage.seconds
    return None


def _ramp(last_rate: float, seconds: float) -> list[Stage]:
    """Equal steps up to the last rate; where it saturates is what we want to know, so it fails no gate."""
    found = []
    step_seconds = seconds / RAMP_STEPS
    change = min(_CHANGE_MAX_SECONDS, step_seconds / 3)
    for step in range(1, RAMP_STEPS + 1):
        rate = last_rate * step / RAMP_STEPS
        found.append(_pause(f"to {rate:g}/s", change, rate))
        found.append(Stage(name=f"{rate:g}/s", seconds=step_seconds - change, rate=rate, gated=False))
    return found


def _spike(rate: float, seconds: float, warm_up: Stage) -> list[Stage]:
    """A fifth of the time at five times the rate; then it has to be as before."""
    change = min(_CHANGE_MAX_SECONDS, seconds / 20)
    third = (seconds - warm_up.seconds - 2 * change) / 5
    high = SPIKE_TIMES * rate
    return [
        warm_up,
        Stage(name="before", seconds=2 * third, rate=rate),
        _pause("up", change, high),
        Stage(name="spike", seconds=third, rate=high),
        _pause("down", change, rate),
        Stage(name="after", seconds=2 * third, rate=rate),
    ]


def _pause(name: str, seconds: float, rate: float) -> Stage:
    return Stage(name=name, seconds=seconds, rate=rate, measured=False, gated=False)
