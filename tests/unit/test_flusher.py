"""The flusher against a sink whose every answer the test decides."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from buffer.flusher import AckTimeoutError, Flusher
from buffer.pending import PendingList
from buffer.sink import Sink
from tests.support.scripted_sink import ScriptedSink
from tests.support.waiting import until

NEVER_SECONDS = 60.0


class Bench:
    """A running flusher, its list and its sink."""

    def __init__(self, **options: Any) -> None:
        self.pending = PendingList(7, max_rows=1000, remembered_rows=1000)
        self.sink = ScriptedSink()
        sink: Sink = self.sink
        values = {"max_rows": 100, "ack_timeout_seconds": NEVER_SECONDS, "probe_seconds": NEVER_SECONDS}
        self.flusher = Flusher(self.pending, sink, jitter=lambda: 0.0, **(values | options))
        self._requests: list[asyncio.Task[None]] = []

    def arrive(self, *numbers: int) -> list[int]:
        """Events without anybody who waits for them."""
        seqs = [
            self.pending.append(
                impression_id=number.to_bytes(16, "big"),
                kind=1,
                user_id="ani",
                campaign_id=1,
                variant="a",
                occurred_at_us=number,
            )
            for number in numbers
        ]
        self.flusher.wake()
        return seqs

    async def request(self, number: int) -> asyncio.Task[None]:
        """A request that waits for its event; it has begun to wait when this returns."""
        (seq,) = self.arrive(number)
        task = asyncio.create_task(self.flusher.acknowledged(seq))
        self._requests.append(task)
        await turns()
        return task

    async def close(self) -> None:
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)


async def turns(count: int = 10) -> None:
    """Let everything go on that can: each turn of the event loop runs what is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ended(task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(3):
        await task


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Bench]:
    bench = Bench(**options)
    task = asyncio.create_task(bench.flusher.run())
    try:
        await bench.sink.next_open()
        yield bench
    finally:
        await bench.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert bench.sink.closed


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running() as started:
        yield started


async def test_what_arrives_during_one_copy_is_the_next_batch(bench: Bench) -> None:
    bench.arrive(10)
    first = await bench.sink.next_write()
    assert first.seqs == [1]
    for number in (20, 30, 40):
        bench.arrive(number)
        await turns()
    assert bench.sink.quiet, "one COPY in flight, not more"

    first.commit()
    second = await bench.sink.next_write()
    assert second.seqs == [2, 3, 4]
    second.commit()
    await until(lambda: bench.pending.acked_through == 4, "all is acknowledged")
    assert bench.sink.most_in_flight == 1
    assert (bench.flusher.stats.copies, bench.flusher.stats.rows_copied) == (2, 4)


async def test_a_batch_is_cut_at_its_limit() -> None:
    async with running(max_rows=2) as bench:
        bench.arrive(10, 20, 30, 40, 50)
        for expected in ([1, 2], [3, 4], [5]):
            write = await bench.sink.next_write()
            assert write.seqs == expected
            write.commit()


async def test_a_request_waits_for_the_commit_of_its_own_batch(bench: Bench) -> None:
    one = await bench.request(10)
    first = await bench.sink.next_write()
    two = await bench.request(20)
    assert not one.done(), "the COPY has begun, it is not committed"

    first.commit()
    await ended(one)
    second = await bench.sink.next_write()
    assert not two.done()
    second.commit()
    await ended(two)
    await bench.flusher.acknowledged(1)
    assert bench.sink.quiet, "an acknowledged event needs nothing more"


async def test_two_requests_for_one_event_are_both_answered(bench: Bench) -> None:
    one, resend = await bench.request(10), await bench.request(10)
    write = await bench.sink.next_write()
    assert write.seqs == [1]
    write.commit()
    await ended(one)
    await ended(resend)


async def test_a_request_that_is_cancelled_takes_no_other_with_it(bench: Bench) -> None:
    one = await bench.request(10)
    resend = await bench.request(10)
    one.cancel()
    await turns()
    later = await bench.request(10)
    (await bench.sink.next_write()).commit()

    await ended(resend)
    await ended(later)


async def test_after_a_lost_connection_all_above_the_watermark_is_sent_before_anything_new() -> None:
    async with running(max_rows=2) as bench:
        sink = bench.sink
        bench.arrive(10, 20, 30, 40)
        (await sink.next_write()).commit()
        (await sink.next_write()).commit()
        sink.merged = 1
        late = await bench.request(50)
        broken = await sink.next_write()
        assert broken.seqs == [5]
        bench.arrive(60)

        sink.wipe()
        broken.lose()
        assert await sink.next_open() == 1
        bench.arrive(70)

        for expected in ([2, 3], [4, 5], [6, 7]):
            write = await sink.next_write()
            assert write.seqs == expected
            write.commit()
        await ended(late)
        assert sink.table == [1, 2, 3, 4, 5, 6, 7]
        await until(lambda: bench.flusher.stats.rows_copied == 10, "the last batch is counted")
        assert bench.flusher.stats.rows_sent_again == 4


async def test_a_second_loss_while_sending_again_starts_over() -> None:
    async with running(max_rows=1) as bench:
        sink = bench.sink
        bench.arrive(10, 20)
        for _ in range(2):
            (await sink.next_write()).commit()
        sink.wipe()
        sink.on_lost()
        (await sink.next_write()).commit()
        broken = await sink.next_write()
        assert broken.seqs == [2]
        sink.wipe()
        broken.lose()

        for expected in ([1], [2]):
            write = await sink.next_write()
            assert write.seqs == expected
            write.commit()
        assert sink.table == [1, 2]


async def test_a_server_that_refuses_is_tried_until_it_answers_and_nothing_is_dropped() -> None:
    async with running() as bench:
        sink = bench.sink
        sink.up = False
        request = await bench.request(10)
        (await sink.next_write()).lose()
        for _ in range(3):
            await sink.next_open()
        assert sink.refused >= 2
        assert not bench.flusher.stats.connected
        assert bench.flusher.stats.last_error == "refused"
        assert not request.done()

        sink.up = True
        (await sink.next_write()).commit()
        await ended(request)
        assert bench.flusher.stats.connected
        assert sink.table == [1]


async def test_an_ack_timeout_leaves_the_row_queued_and_it_is_sent_later() -> None:
    async with running(ack_timeout_seconds=0.05) as bench:
        request = await bench.request(10)
        write = await bench.sink.next_write()
        with pytest.raises(AckTimeoutError):
            await ended(request)
        assert len(bench.pending) == 1
        assert bench.flusher.stats.ack_timeouts == 1

        write.lose()
        again = await bench.sink.next_write()
        assert again.seqs == [1]
        again.commit()
        await until(lambda: bench.pending.acked_through == 1, "it is acknowledged after all")
        assert bench.sink.table == [1]
        await bench.flusher.acknowledged(1)


async def test_each_request_has_its_own_deadline() -> None:
    async with running(ack_timeout_seconds=0.3) as bench:
        first = await bench.request(10)
        held = await bench.sink.next_write()
        with pytest.raises(AckTimeoutError):
            await ended(first)
        second = await bench.request(20)
        await turns()
        assert not second.done(), "its own time has only begun"
        held.commit()
        (await bench.sink.next_write()).commit()
        await ended(second)
        assert bench.flusher.stats.ack_timeouts == 1


async def test_an_idle_probe_notices_a_dead_server_and_sends_again() -> None:
    async with running(probe_seconds=0.01) as bench:
        sink = bench.sink
        bench.arrive(10, 20)
        (await sink.next_write()).commit()
        await sink.next_probe()
        sink.merged = 1
        sink.wipe()
        sink.up = False

        await sink.next_open()
        sink.up = True
        again = await sink.next_write()
        assert again.seqs == [2]
        again.commit()
        await until(lambda: sink.table == [1, 2], "what was wiped is there again")


async def test_an_idle_flusher_hears_of_its_lost_connection_without_a_probe(bench: Bench) -> None:
    bench.arrive(10)
    (await bench.sink.next_write()).commit()
    await until(lambda: bench.pending.acked_through == 1, "it is acknowledged")
    bench.sink.wipe()
    bench.sink.on_lost()
    assert (await bench.sink.next_write()).seqs == [1]


async def test_an_event_merged_before_its_acknowledgement_arrives_is_acknowledged(bench: Bench) -> None:
    """A reader may see the merge of a row while the COPY's answer is still on its way."""
    request = await bench.request(10)
    write = await bench.sink.next_write()
    bench.sink.merged = 1
    bench.pending.forget_through(1)
    write.commit()
    await ended(request)


async def test_an_event_merged_while_the_connection_was_lost_is_acknowledged(bench: Bench) -> None:
    """The COPY was committed, its answer was lost, and the merge was quicker than the next connection."""
    request = await bench.request(10)
    write = await bench.sink.next_write()
    bench.sink.merged = 1
    write.lose(committed=True)
    await bench.sink.next_open()
    await ended(request)
    assert bench.sink.table == [1], "there was nothing to send again"


async def test_stop_drains_the_queue_and_waits_for_the_merge(bench: Bench) -> None:
    sink = bench.sink
    bench.arrive(10)
    write = await sink.next_write()
    bench.arrive(20)
    stopping = asyncio.create_task(
        bench.flusher.stop(flush_seconds=NEVER_SECONDS, merge_seconds=NEVER_SECONDS)
    )
    await turns()
    write.commit()
    (await sink.next_write()).commit()
    while await sink.next_probe() < 2:
        assert not stopping.done(), "flushed, but the buffer is the only copy"
        sink.merged += 1
    await ended(stopping)
    assert sink.table == [1, 2]


async def test_stop_says_what_it_leaves_behind(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.arrive(10)
    (await bench.sink.next_write()).commit()
    bench.arrive(20)
    await bench.sink.next_write()
    with caplog.at_level(logging.WARNING, "tayang.flusher"):
        await bench.flusher.stop(flush_seconds=0.01, merge_seconds=0.01)
    assert "2 events not yet merged, 1 not yet acknowledged" in caplog.text


async def test_stop_with_nothing_pending_says_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tayang.flusher"):
        await bench.flusher.stop(flush_seconds=NEVER_SECONDS, merge_seconds=NEVER_SECONDS)
    assert caplog.text == ""
