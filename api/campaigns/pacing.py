"""An even pace against what is spent, and against what is about to be. Times: µs since the epoch, UTC."""

from math import exp
from typing import Final, Literal, NamedTuple

from api.campaigns.curve import Curve, first_instant

#: Until confirmations are seen: cautious, which costs only a slower catch-up in the first minute.
_PRIOR_DELAY_US: Final = 30_000_000
_PRIOR_POPUPS: Final = 20.0
#: A phone that was offline tells nothing of the popups that are out now.
_DELAY_MAX_US: Final = 600_000_000
#: When so many have been counted, the older half of the weight is dropped: some hours of a small budget.
_POPUPS_MAX: Final = 200.0


class InFlight:
    """Estimates the impressions that are still to come from popups that were served, of all processes.

    A popup served `age` ago is on its way still with the weight exp(-age / mean delay): by Little's law the
    sum of these is right at a steady rate, whatever the distribution of the delays. Each stands for as many
    impressions of *all* processes as have come for each popup of this one. So nobody tells the others what
    it serves, and those that confirm needn't be those that serve.
    """

    def __init__(self) -> None:
        self._out = 0.0  # popups of this process, each with its weight
        self._out_at_us = 0
        self._settled = 0.0  # popups whose weight is gone
        self._impressions = 0.0  # of all processes, meanwhile
        self._delays_us = 0.0
        self._confirmed = 0.0

    def served(self, now_us: int) -> None:
        self._age(now_us)
        self._out += 1.0

    def confirmed(self, delay_us: int) -> None:
        """This process has learned of an impression, so long after it served the popup or another did."""
        self._delays_us += min(max(delay_us, 0), _DELAY_MAX_US)
        self._confirmed += 1.0
        if self._confirmed > _POPUPS_MAX:
            self._confirmed /= 2
            self._delays_us /= 2

    def spent(self, impressions: float) -> None:
        """So many more of all processes are known; a correction may be negative."""
        self._impressions += impressions

    def expected(self, now_us: int, processes: int) -> float:
        """Impressions still to come. The other processes are not taken to serve more than this one."""
        self._age(now_us)
        ratio = (_PRIOR_POPUPS * processes + self._impressions) / (_PRIOR_POPUPS + self._settled)
        return min(max(ratio, 0.0), processes) * self._out

    @property
    def delay_us(self) -> float:
        prior_us = _PRIOR_POPUPS * _PRIOR_DELAY_US
        return (prior_us + self._delays_us) / (_PRIOR_POPUPS + self._confirmed)

    def _age(self, now_us: int) -> None:
        elapsed_us = now_us - self._out_at_us
        if elapsed_us <= 0:  # the clock went back
            return
        self._out_at_us = now_us
        left = self._out * exp(-elapsed_us / self.delay_us)
        self._settled += self._out - left
        self._out = left
        if self._settled > _POPUPS_MAX:
            self._settled /= 2
            self._impressions /= 2


class Count(NamedTuple):
    """What is `used` of a limit that has a pace. `known` adds what the other processes have pending.

    Each of them is taken to have as much as this one. So while nothing is merged, nobody thinks it is alone.
    """

    limit: Literal["total", "per_day"]
    units: int
    curve: Curve
    used: int
    known: int

    def due(self, now_us: int) -> float:
        return self.units * self.curve.share(now_us)

    def room_from_us(self, now_us: int, in_flight: InFlight, processes: int) -> int | None:
        """When there is room if nothing more is spent; None if not before the curve ends."""
        expected, delay_us = in_flight.expected(now_us, processes), in_flight.delay_us

        def room_at(then_us: int) -> bool:
            return self.known + expected * exp((now_us - then_us) / delay_us) < self.due(then_us)

        last_us = self.curve.end_us - 1
        if last_us <= now_us or not room_at(last_us):
            return None
        return first_instant(now_us, last_us, room_at)
