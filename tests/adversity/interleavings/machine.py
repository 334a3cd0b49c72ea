"""Random interleavings of all that can happen between two api processes and a database, against a model.

The model is small: which impressions were sent, which were acknowledged, and through which process.
It attacks with single failures only: a second one waits until nothing depends on the first any more.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from buffer.flusher import AckTimeoutError, Flusher
from buffer.pending import PendingList
from tests.adversity.interleavings.world import HeldSink, MemoryWorld, Verdict, World

T = TypeVar("T")
Key = tuple[str, bytes]

PROCESSES = st.integers(0, 1)
USERS = st.sampled_from(["ani", "budi"])
VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(["committed", "not sent", "committed, not answered"])
MAX_ROWS = 1000
_HEAL_ROUNDS = 50
_instances = count(1)


@dataclass
class Process:
    """An api process, as far as impressions are concerned."""

    pending: PendingList
    sink: HeldSink
    flusher: Flusher
    running: asyncio.Task[None]
    #: Sent to this process, whatever became of it.
    known: set[Key] = field(default_factory=set)
    requests: set[asyncio.Task[None]] = field(default_factory=set)

    def quiet(self) -> bool:
        """It waits for a verdict, or for something new."""
        if self.sink.held is not None:
            return not self.sink.held.done()
        pending = self.pending
        done = pending.unsent_rows == 0 and pending.acked_through == pending.sent_through
        return done and self.flusher.stats.connected

    def unmerged(self) -> set[Key]:
        """What it would send again."""
        return {
            (user, entry.impression_id) for user in ("ani", "budi") for entry in self.pending.of_user(user)
        }


class Impressions(RuleBasedStateMachine):
    """`world` and `loop` are made by the subclass for each example; crashes are bounded by `crashes_max`."""

    crashes_max: ClassVar[int] = 5
    pending_type: ClassVar[type[PendingList]] = PendingList

    loop: asyncio.AbstractEventLoop
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.occurred_at_us = 0
        self.numbers = count(1)
        self.sent: list[Key] = []
        self.acked: set[Key] = set()
        self.crashes = 0
        self.processes: list[Process] = []

    def do(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(60):
                return await work

        return self.loop.run_until_complete(bounded())

    @initialize()
    def two_processes(self) -> None:
        self.processes = [self.do(self.started()), self.do(self.started())]
        self.settle()

    async def started(self) -> Process:
        instance = self.new_instance()
        pending = self.pending_type(instance, max_rows=MAX_ROWS, remembered_rows=MAX_ROWS)
        sink = HeldSink(self.world.sink(instance))
        flusher = Flusher(
            pending, sink, max_rows=3, ack_timeout_seconds=5.0, probe_seconds=0.5, jitter=lambda: 0.0
        )
        return Process(pending, sink, flusher, asyncio.create_task(flusher.run()))

    def new_instance(self) -> int:
        return next(_instances)

    def new_id(self) -> bytes:
        return next(self.numbers).to_bytes(16, "big")

    # What clients do

    @rule(process=PROCESSES, user=USERS, rows=st.integers(1, 4))
    def post(self, process: int, user: str, rows: int) -> None:
        for _ in range(rows):
            key = (user, self.new_id())
            self.sent.append(key)
            self.send(self.processes[process], key)
        self.settle()

    @precondition(lambda self: self.sent)
    @rule(process=PROCESSES, data=st.data())
    def resend(self, process: int, data: st.DataObject) -> None:
        self.send(self.processes[process], data.draw(st.sampled_from(self.sent)))
        self.settle()

    def send(self, process: Process, key: Key) -> None:
        user, impression_id = key
        seq = process.pending.append(
            impression_id=impression_id,
            kind=1,
            user_id=user,
            campaign_id=1,
            variant="a",
            occurred_at_us=self.occurred_at_us,
        )
        process.flusher.wake()
        process.known.add(key)
        task = self.loop.create_task(self.acknowledged(process, seq, key))
        process.requests.add(task)

    async def acknowledged(self, process: Process, seq: int, key: Key) -> None:
        with contextlib.suppress(AckTimeoutError):
            await process.flusher.acknowledged(seq)
            self.acked.add(key)

    # What the database and the network do

    @rule(process=PROCESSES)
    def answer(self, process: int) -> None:
        self.processes[process].sink.decide("committed")
        self.settle()

    @rule(process=PROCESSES, verdict=VERDICTS)
    def cut(self, process: int, verdict: Verdict) -> None:
        self.do(self.cut_off(process, verdict))
        self.settle()

    async def cut_off(self, process: int, verdict: Verdict) -> None:
        self.processes[process].sink.cut(verdict)

    @rule(max_rows=st.sampled_from([2, 100]))
    def merge(self, max_rows: int) -> None:
        self.do(self.world.merge(max_rows))

    @rule()
    def replicate(self) -> None:
        self.do(self.world.replicate())

    @precondition(lambda self: self.crashes < self.crashes_max and not self.alone_in_the_buffer("primary"))
    @rule()
    def crash(self) -> None:
        self.crashes += 1
        self.fail(self.world.crash)

    def fail(self, failure: Callable[[], Awaitable[None]]) -> None:
        for process in self.processes:
            process.sink.decide("not sent")
        self.do(failure())
        self.settle()

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.world.let(seconds))

    # What the processes do

    @rule(process=PROCESSES)
    def read(self, process: int) -> None:
        """Counts + overlay are exact for what this process knows (I3); then it forgets (I6)."""
        reader = self.processes[process]
        shown = self.do(self.world.shown("replica", reader.pending.instance))
        assert shown.watermark >= reader.pending.forgotten_through, (
            "forgotten before the reader had passed it"
        )
        overlay = [
            (entry.user_id, entry.impression_id)
            for user in ("ani", "budi")
            for entry in reader.pending.of_user(user)
            if entry.seq > shown.watermark
        ]
        assert len(overlay) == len(set(overlay)), "one impression twice in the overlay"
        assert shown.log | set(overlay) >= reader.known, "an impression in neither counts nor overlay"
        reader.pending.forget_through(shown.watermark)

    @precondition(lambda self: not self.only_in_a_process())
    @rule(process=PROCESSES)
    def kill(self, process: int) -> None:
        self.do(self.killed(self.processes[process]))
        self.processes[process] = self.do(self.started())
        self.settle()

    async def killed(self, process: Process) -> None:
        tasks = [process.running, *process.requests]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def alone_in_the_buffer(self, survivor: Any) -> set[Key]:
        """Acknowledged impressions that this server's log lacks, and that no process would send again."""
        kept = set().union(*(process.unmerged() for process in self.processes))
        return self.acked - kept - self.do(self.world.shown(survivor, 0)).log

    def only_in_a_process(self) -> set[Key]:
        """Acknowledged impressions that PostgreSQL does not have (just now: it has crashed)."""
        buffered = {(row.user_id, row.impression_id) for row in self.do(self.world.buffered())}
        return self.acked - buffered - self.do(self.world.shown("primary", 0)).log

    # What always holds

    @invariant()
    def positions_are_in_order(self) -> None:
        """What was acknowledged may have to be sent again, so `sent` can be behind it for a while."""
        for pending in (process.pending for process in self.processes):
            for position in (pending.acked_through, pending.sent_through):
                assert pending.forgotten_through <= position <= pending.last_seq

    @invariant()
    def the_buffer_holds_a_prefix(self) -> None:
        """I6: above its watermark an instance's rows have no gap, so none can be passed over."""
        rows = self.do(self.world.buffered())
        for process in self.processes:
            instance = process.pending.instance
            watermark = self.do(self.world.shown("primary", instance)).watermark
            seqs = {row.seq for row in rows if row.instance == instance and row.seq > watermark}
            assert seqs == set(range(watermark + 1, watermark + 1 + len(seqs)))

    def settle(self) -> None:
        self.do(self.world.settle(lambda: all(process.quiet() for process in self.processes)))

    def teardown(self) -> None:
        try:
            if self.processes:
                self.do(self.heal())
                self.check()
        finally:
            for process in self.processes:
                self.do(self.killed(process))
            self.close()

    def close(self) -> None:
        self.loop.close()

    async def heal(self) -> None:
        """All that was sent is merged, and both servers show it."""
        for process in self.processes:
            process.sink.holding = False
            process.sink.decide("committed")
        for _ in range(_HEAL_ROUNDS):
            await self.world.let(0.1)
            await self.world.merge(MAX_ROWS)
            await self.world.replicate()
            shown = [
                await self.world.shown("replica", process.pending.instance) for process in self.processes
            ]
            pairs = zip(shown, self.processes, strict=True)
            if all(server.watermark >= process.pending.last_seq for server, process in pairs):
                return
        raise AssertionError("the processes do not get rid of their impressions")

    def check(self) -> None:
        log = self.do(self.world.shown("replica", 0)).log
        assert self.acked <= log, f"acknowledged and lost: {sorted(self.acked - log)}"
        assert log <= set(self.sent), "counted, but never sent"


class InMemory(Impressions):
    """With a database in memory, and promotions too."""

    world: MemoryWorld

    @precondition(lambda self: not self.alone_in_the_buffer("replica"))
    @rule()
    def promote(self) -> None:
        self.fail(self.world.promote)
