"""A campaign's day, simulated: real soft budgets in several processes, and phones that confirm late or never.

No database, no clock: processes learn of each other's impressions as late as through merge and replication.
"""

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from api.campaigns.budget import SoftBudget
from api.campaigns.curve import Pace
from api.campaigns.windows import to_us

DAY_SECONDS: Final = 86_400.0
_MINUTE_SECONDS: Final = 60.0
_ZONE: Final = ZoneInfo("Asia/Jakarta")
_MIDNIGHT: Final = datetime(2026, 11, 23, tzinfo=_ZONE)
_MIDNIGHT_US: Final = to_us(_MIDNIGHT)

#: Of the impressions, so many come from phones that are offline.
_OFFLINE: Final = 0.03
_OFFLINE_SECONDS: Final = (60.0, 1800.0)
_SPREAD: Final = 1.0  # sigma of the delays' logarithm: the mean of the others is 1.6 medians
#: A phone that keeps its connection confirms to the process that served it.
_SAME_PROCESS: Final = 0.7

_POLL_SECONDS: Final = 0.25
_MERGE_SECONDS: Final = 0.25
_LAG_SECONDS: Final = 0.3

Stretch = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Times in seconds since midnight. `rate` is the requests a second that the campaign would be shown for.

    `confirmed` is the share of popups that become impressions, `median_seconds` after they were served.
    `apart`: one half of the processes serves, the other half is told of the impressions.
    """

    rate: Callable[[float], float]
    per_day: int
    processes: int
    confirmed: float = 0.85
    median_seconds: float = 3.0
    paused: Stretch = (0.0, 0.0)
    merges_stalled: Stretch = (0.0, 0.0)
    restarted_at: float = math.inf
    announcements: bool = True
    apart: bool = False
    until: float = DAY_SECONDS


@dataclass(slots=True)
class Outcome:
    """At the begin of each minute: impressions so far, and how many came if all requests were served."""

    scenario: Scenario
    requests: int = 0
    delivered: list[int] = field(default_factory=list)
    possible: list[float] = field(default_factory=list)

    @property
    def final(self) -> int:
        return self.delivered[-1]

    def ideal(self) -> list[float]:
        per_minute = self.scenario.per_day * _MINUTE_SECONDS / DAY_SECONDS
        return [minute * per_minute for minute in range(len(self.delivered))]

    def feasible(self) -> list[float]:
        """The ideal as far as there is traffic: at most all of it since the ideal was reached last."""
        best, reached, before = [], 0.0, 0.0
        for due, possible in zip(self.ideal(), self.possible, strict=True):
            reached = min(due, reached + possible - before)
            before = possible
            best.append(reached)
        return best

    def above_ideal(self) -> float:
        """The most, as a share of the day's budget."""
        return max(self._shares(self.ideal()))

    def below_feasible(self) -> float:
        return -min(self._shares(self.feasible()))

    def _shares(self, target: list[float]) -> Iterator[float]:
        for delivered, due in zip(self.delivered, target, strict=True):
            yield (delivered - due) / self.scenario.per_day


class World:
    """`run()` once."""

    def __init__(self, scenario: Scenario) -> None:
        self._outcome = Outcome(scenario)
        self._scenario = scenario
        self._random = random.Random(7)
        self._taken: list[float] = []  # when, by all processes
        self._coming: list[tuple[float, int, float]] = []  # impressions: when, to which process, served when
        self._possible = 0.0
        self._processes = self._started()

    def run(self) -> Outcome:
        scenario, restarted = self._scenario, False
        for at in self._requests():
            self._confirm_until(at)
            if at >= scenario.restarted_at and not restarted:
                self._processes, restarted = self._started(), True
            self._possible += scenario.confirmed
            self._outcome.requests += 1
            self._ask(at)
        self._confirm_until(scenario.until)
        return self._outcome

    def _started(self) -> "list[_Process]":
        return [_Process(self._scenario, number) for number in range(self._scenario.processes)]

    def _requests(self) -> Iterator[float]:
        """When they come; none while the campaign is paused."""
        at, (first, end) = 0.0, self._scenario.paused
        while True:
            at += self._random.expovariate(self._scenario.rate(at))
            if at >= self._scenario.until:
                return
            if not first <= at < end:
                yield at

    def _ask(self, at: float) -> None:
        scenario, chance = self._scenario, self._random
        serving = chance.randrange(scenario.processes)
        if scenario.apart:
            serving //= 2
        process = self._processes[serving]
        process.poll(at, self._taken)
        if not process.budget.has_room(_us(at)):
            return
        process.budget.reserve(_us(at))
        if chance.random() < scenario.confirmed:
            told = serving if chance.random() < _SAME_PROCESS else chance.randrange(scenario.processes)
            if scenario.apart:
                told = scenario.processes - 1 - serving
            heapq.heappush(self._coming, (at + self._delay(), told, at))

    def _delay(self) -> float:
        if self._random.random() < _OFFLINE:
            return self._random.uniform(*_OFFLINE_SECONDS)
        return self._random.lognormvariate(math.log(self._scenario.median_seconds), _SPREAD)

    def _confirm_until(self, end: float) -> None:
        while self._coming and self._coming[0][0] <= end:
            at, told, served = heapq.heappop(self._coming)
            self._record_until(at)
            process = self._processes[told]
            process.poll(at, self._taken)
            self._taken.append(at)
            process.taken.append(at)
            process.budget.add_pending(len(process.taken), _us(at), _us(served))
        self._record_until(end)

    def _record_until(self, at: float) -> None:
        while len(self._outcome.delivered) <= at // _MINUTE_SECONDS:
            self._outcome.delivered.append(len(self._taken))
            self._outcome.possible.append(self._possible)


class _Process:
    def __init__(self, scenario: Scenario, number: int) -> None:
        self.budget = SoftBudget(
            _ZONE, total=None, per_day=scenario.per_day, pace=Pace(_ZONE, (), None, None)
        )
        self.taken: list[float] = []
        self._scenario = scenario
        self._phase = _POLL_SECONDS * number / scenario.processes
        self._polls = -1

    def poll(self, at: float, taken: list[float]) -> None:
        """The last poll before now: those before it would leave no trace. `taken`: when, by all processes."""
        polls = int((at - self._phase) // _POLL_SECONDS)
        if polls <= self._polls:
            return
        self._polls = polls
        merged_at = (self._phase + polls * _POLL_SECONDS - _LAG_SECONDS) // _MERGE_SECONDS * _MERGE_SECONDS
        first, end = self._scenario.merges_stalled
        if first <= merged_at < end:
            merged_at = first
        merged = bisect_right(taken, merged_at)
        today = bisect_right(taken, min(merged_at, DAY_SECONDS))
        self.budget.update(
            total=merged,
            by_day={_MIDNIGHT.date(): today, _MIDNIGHT.date() + timedelta(days=1): merged - today},
            watermark=bisect_right(self.taken, merged_at),
            processes=self._scenario.processes if self._scenario.announcements else 1,
        )


def _us(at: float) -> int:
    return _MIDNIGHT_US + int(at * 1_000_000)
