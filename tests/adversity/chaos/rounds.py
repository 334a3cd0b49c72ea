"""One round: load, one attack at a moment of it, healing, resends, and the audit of what is left."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.adversity.chaos.attacks import ATTACKS, NEED_STATEMENTS, NEED_TRAFFIC, Chance
from tests.adversity.chaos.audit import Audit, Look, audit, looking
from tests.adversity.chaos.ledger import Key, Ledger
from tests.adversity.chaos.phones import Crowd, crowd
from tests.adversity.chaos.plan import Round
from tests.adversity.chaos.rig import MergeStatements, Rig, WorkerState
from tests.support.service import TOKEN_SECRET
from tests.support.waiting import until

_PHONES: Final = 6
#: Users that come back in every round, so that counts go on from what an earlier round has left.
_REGULARS: Final = 2
_BEFORE_THE_STRIKE: Final = (20, 150)
_AFTER_HEALING: Final = (20, 100)
#: Of the rounds: the attack comes when the last request has its answer, and nothing new tells of it.
_SILENT_SHARE: Final = 0.2
_ROUND_SECONDS: Final = 180.0
#: Impressions that are sent once more when all of them are merged: a late resend counts once, too.
_REPEATED: Final = 10
_LOOK_SECONDS: Final = 0.05
_MERGED_SECONDS: Final = 2.0


@dataclass
class Outcome:
    """What a round saw. `stuck` says what did not happen within its time; a failed one has a `diagnosis`."""

    round: Round
    detail: str = ""
    sent: int = 0
    acknowledged: int = 0
    primary: Audit = field(default_factory=Audit)
    replica: Audit = field(default_factory=Audit)
    rows_sent_again: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    outrages: Counter[str] = field(default_factory=Counter)
    stuck: str = ""
    diagnosis: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.primary.passed and self.replica.passed and not self.stuck and not self.outrages

    @property
    def complaints(self) -> list[str]:
        found = [f"stuck: {self.stuck}"] if self.stuck else []
        for server, seen in (("primary", self.primary), ("replica", self.replica)):
            figures = {"lost": seen.lost, "doubled": seen.doubled, "never sent": seen.unsent}
            found += [f"{number} {name} on the {server}" for name, number in figures.items() if number]
            found += [f"{server}: {text}" for text in seen.disagreements]
        return found + [f"{times} times {what}" for what, times in self.outrages.items()]


@dataclass
class Trial:
    """What rounds on one rig share. `settle_seconds` is how long a row may be unmerged after the healing,
    `quiet_seconds` how much of that without any new impression."""

    rig: Rig
    longest_attack_seconds: float
    settle_seconds: float = 60.0
    quiet_seconds: float = 5.0
    earlier: set[Key] = field(default_factory=set)

    async def warm_up(self, rounds: Iterable[Round]) -> None:
        """Load until the usual statements of merge and rotation are known, if a round needs them."""
        if not any(planned.attack in NEED_STATEMENTS for planned in rounds):
            return
        ledger = Ledger(TOKEN_SECRET)
        async with crowd(self.rig.url, ["warm"], ledger, random.Random(0)) as phones, phones.in_use():
            await until(
                lambda: _whole_cycle(self.rig.statements), "a cycle of merge and rotation", seconds=30
            )
        self.rig.statements.learnt = self.rig.statements.usual
        self.earlier |= ledger.lines.keys()

    async def play(self, planned: Round) -> Outcome:
        """Never raises for what the service does: that is in the outcome."""
        outcome, ledger, started = Outcome(planned), Ledger(TOKEN_SECRET), time.monotonic()
        try:
            async with asyncio.timeout(_ROUND_SECONDS):
                before = await self.rig.workers()
                outcome.stuck = await self._play(planned, outcome, ledger)
                if not outcome.stuck:
                    await self._judge(outcome, ledger)
                outcome.rows_sent_again = _sent_again(before, await self.rig.workers())
        except* (AssertionError, TimeoutError) as errors:
            outcome.stuck = "; ".join(str(error) or "the round took too long" for error in _leaves(errors))
        outcome.sent, outcome.acknowledged = len(ledger.lines), len(ledger.acknowledged_keys())
        outcome.troubles, outcome.outrages = ledger.troubles, ledger.outrages
        if not outcome.passed:
            outcome.diagnosis = await self.rig.diagnosis()
        self.earlier |= ledger.lines.keys()
        outcome.seconds = time.monotonic() - started
        return outcome

    async def _play(self, planned: Round, outcome: Outcome, ledger: Ledger) -> str:
        dice = planned.dice("load")
        chance = Chance(planned.dice("attack"), planned.repetition, self.longest_attack_seconds, planned.seed)
        users = [f"regular {number}" for number in range(_REGULARS)]
        users += [f"user {number} of round {planned.number}" for number in range(_PHONES - _REGULARS)]
        async with crowd(self.rig.url, users, ledger, planned.dice("phones")) as phones:
            in_silence = dice.random() < _SILENT_SHARE and planned.attack not in NEED_TRAFFIC
            async with phones.in_use():
                await phones.acknowledged(dice.randint(*_BEFORE_THE_STRIKE))
                if not in_silence:
                    outcome.detail = await ATTACKS[planned.attack](self.rig, chance)
                    await phones.acknowledged(dice.randint(*_AFTER_HEALING))
            if in_silence:
                outcome.detail = "in silence, " + await ATTACKS[planned.attack](self.rig, chance)
            await self.rig.whole()
            if dice.random() < 0.5:
                await phones.insist(ledger.unacknowledged())
            async with looking(self.rig.cluster.primary.dsn(self.rig.database)) as look:
                complaint = await self._settled(phones, ledger, look)
                if not complaint:
                    known = ledger.acknowledged_lines()
                    await phones.repeat(dice.sample(known, min(_REPEATED, len(known))))
                    await until(lambda: _empty(look), "the resends are merged", seconds=self.settle_seconds)
                return complaint

    async def _settled(self, phones: Crowd, ledger: Ledger, look: Look) -> str:
        """Return when all that is acknowledged is in the log, or it is sure that it never will be.

        What it returns is the complaint if neither came about.
        """
        acknowledged = ledger.acknowledged_keys()
        quiet_until = time.monotonic() + self.quiet_seconds
        while await look.missing(acknowledged):
            if time.monotonic() > quiet_until + self.settle_seconds:
                return "rows are neither merged nor gone"
            if time.monotonic() > quiet_until:
                # New rows move a watermark past lost ones; others must not need that, hence the quiet.
                await phones.one_more()
                if await self._all_merged(look):
                    break
            await asyncio.sleep(_LOOK_SECONDS)
        return ""

    async def _all_merged(self, look: Look) -> bool:
        """Whether, within a while, no worker holds a row and none is buffered."""
        deadline = time.monotonic() + _MERGED_SECONDS
        while any(state.pending_rows for state in (await self.rig.workers()).values()):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return not await look.rows_left()

    async def _judge(self, outcome: Outcome, ledger: Ledger) -> None:
        await self.rig.whole()
        cluster, before = self.rig.cluster, frozenset(self.earlier)
        outcome.primary = await audit(cluster.primary.dsn(self.rig.database), ledger, before=before)
        await self.rig.whole()  # the replica has replayed what was seen just now
        outcome.replica = await audit(cluster.replica.dsn(self.rig.database), ledger, before=before)


async def _empty(look: Look) -> bool:
    return not await look.rows_left()


def _whole_cycle(statements: MergeStatements) -> bool:
    text = " ".join(point.statement for point in statements.usual)
    return "TRUNCATE" in text and "UPDATE merge_ticks SET active_buffer" in text


def _sent_again(before: dict[str, WorkerState], now: dict[str, WorkerState]) -> int:
    """A process that has been started since counts from 0."""
    return sum(
        state.rows_sent_again - before[worker].rows_sent_again
        if before[worker].rows_sent_again <= state.rows_sent_again
        else state.rows_sent_again
        for worker, state in now.items()
    )


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
