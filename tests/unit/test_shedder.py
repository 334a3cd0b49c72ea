"""When requests are refused: a bound on how many, and a wait that stands."""

import asyncio

from api.config import ApiConfig
from api.http.shedder import Gate, Shedder, StandingWait
from tests.support.waiting import until

CONFIG = ApiConfig(
    primary_dsn="",
    replica_dsn="",
    admin_key="",
    token_secrets=(),
    max_requests_in_flight=1000,
    queue_wait_max_seconds=0.1,
    queue_burst_seconds=1.0,
)


def test_a_wait_stands_when_it_outlasts_a_burst() -> None:
    wait = StandingWait(max_seconds=0.1, burst_seconds=1.0)
    assert not wait.observe(0.5, 10.0)
    assert not wait.observe(0.5, 10.9)
    assert wait.observe(0.2, 11.0)


def test_a_wait_that_was_short_in_between_does_not_stand() -> None:
    wait = StandingWait(max_seconds=0.1, burst_seconds=1.0)
    assert not wait.observe(0.5, 10.0)
    assert not wait.observe(0.1, 10.5)
    assert not wait.observe(0.5, 11.4)


def test_a_wait_that_comes_back_stands_at_once() -> None:
    wait = StandingWait(max_seconds=0.1, burst_seconds=1.0)
    wait.observe(0.5, 10.0)
    assert wait.observe(0.5, 11.0)
    assert not wait.observe(0.0, 11.1)
    assert wait.observe(0.2, 11.9)
    assert not wait.observe(0.0, 12.0)
    assert not wait.observe(0.2, 13.0), "after a calm time it is a burst again"


def test_a_gate_admits_so_many_and_counts_the_others() -> None:
    gate = Gate(2)
    assert [gate.enter(name) for name in "abc"] == [True, True, False]
    assert gate.shed == {"in_flight": 1, "behind": 0}
    gate.leave("a")
    gate.leave("a")
    assert len(gate) == 1
    assert gate.enter("c")


def _behind(shedder: Shedder, since: float, until: float) -> None:
    """The event loop is late all that time."""
    looks = round((until - since) / 0.02)
    for look in range(looks + 1):
        shedder.look(since + look * 0.02, late_seconds=0.2)


def test_while_a_wait_stands_fewer_and_fewer_are_admitted_but_never_nobody() -> None:
    shedder = Shedder(CONFIG)
    for number in range(1000):
        assert shedder.reads.enter(number)
    _behind(shedder, 10.0, 10.28)
    assert shedder.reads.admitted == 1000, "one late turn is no queue"
    _behind(shedder, 10.3, 10.3)
    assert shedder.reads.admitted == 500
    assert not shedder.reads.enter("one more")
    assert shedder.reads.shed == {"in_flight": 0, "behind": 1}
    _behind(shedder, 10.32, 12.0)
    assert shedder.reads.admitted == shedder.writes.admitted == 64


def test_when_it_has_caught_up_more_and_more_are_admitted() -> None:
    shedder = Shedder(CONFIG)
    _behind(shedder, 10.0, 12.0)
    shedder.look(12.1, late_seconds=0.0)
    assert shedder.reads.admitted == 68
    for look in range(250):
        shedder.look(12.2 + look * 0.02, late_seconds=0.0)
    assert shedder.reads.admitted == shedder.writes.admitted == 1000


def test_reads_that_wait_too_long_are_a_wait_and_writes_are_not() -> None:
    now = [0.0]
    shedder = Shedder(CONFIG, clock=lambda: now[0])
    shedder.writes.enter("a write")
    now[0] = 5.0
    for tick in range(60):
        shedder.look(5.0 + tick * 0.02, late_seconds=0.0)
    assert shedder.reads.admitted == 1000, "the primary is away"
    shedder.reads.enter("a read")
    for tick in range(60):
        shedder.look(5.2 + tick * 0.02, late_seconds=0.0)
    assert shedder.reads.admitted == 64


async def test_it_sees_how_late_the_event_loop_is() -> None:
    now = [0.0]
    shedder = Shedder(CONFIG, clock=lambda: now[0])
    watch = asyncio.create_task(shedder.run())
    try:
        await asyncio.sleep(0)
        now[0] = 0.5
        await until(lambda: shedder.loop_lag_seconds > 0.4, "it has seen it")
    finally:
        watch.cancel()
