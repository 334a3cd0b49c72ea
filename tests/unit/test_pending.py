"""The pending list: its three positions, and a naive model that agrees with it whatever is done."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from buffer.pending import PendingFullError, PendingList, RecentKeys
from tests.support.rows import read_row


def pending_list(max_rows: int = 100, remembered_rows: int = 100) -> PendingList:
    return PendingList(7, max_rows=max_rows, remembered_rows=remembered_rows)


def add(pending: PendingList, number: int, user_id: str = "ani", kind: int = 1) -> int:
    """Queue the impression of this number; returns its seq."""
    return pending.append(
        impression_id=number.to_bytes(16, "big"),
        kind=kind,
        user_id=user_id,
        campaign_id=1,
        variant="a",
        occurred_at_us=number,
    )


def seqs(rows: Sequence[bytes]) -> list[int]:
    return [read_row(row).seq for row in rows]


def positions(pending: PendingList) -> tuple[int, int, int, int]:
    return pending.forgotten_through, pending.acked_through, pending.sent_through, pending.last_seq


def test_an_event_passes_the_positions_in_order() -> None:
    pending = pending_list()
    assert [add(pending, n) for n in (10, 20, 30)] == [1, 2, 3]
    assert positions(pending) == (0, 0, 0, 3)

    assert seqs(pending.take_unsent(2)) == [1, 2]
    assert positions(pending) == (0, 0, 2, 3)
    pending.acknowledge()
    assert positions(pending) == (0, 2, 2, 3)

    pending.forget_through(1)
    assert positions(pending) == (1, 2, 2, 3)
    assert len(pending) == 2
    assert seqs(pending.take_unsent(10)) == [3]
    assert pending.take_unsent(10) == []


def test_session_and_late_are_kept_and_sent_again_as_they_were() -> None:
    pending = pending_list()
    pending.append(
        impression_id=bytes(16),
        kind=1,
        user_id="ani",
        campaign_id=1,
        variant="a",
        occurred_at_us=0,
        session=-7,
        late=True,
    )
    first = pending.take_unsent(1)
    pending.acknowledge()
    pending.rewind(0)

    assert pending.take_unsent(1) == first
    row = read_row(first[0])
    (entry,) = pending.of_user("ani")
    assert (row.session, row.late) == (entry.session, entry.late) == (-7, True)


def test_a_row_carries_the_event_and_the_instance() -> None:
    pending = pending_list()
    add(pending, 10, "budi", kind=3)
    row = read_row(pending.take_unsent(1)[0])
    assert (row.instance, row.seq, row.kind, row.user_id) == (7, 1, 3, "budi")
    assert row.impression_id == (10).to_bytes(16, "big")


def test_a_resend_is_the_same_event_until_it_is_forgotten_and_none_after() -> None:
    pending = pending_list()
    first, second = add(pending, 10), add(pending, 20)
    assert add(pending, 10) == first
    pending.take_unsent(10)
    pending.acknowledge()
    assert add(pending, 20) == second
    pending.forget_through(first)
    assert add(pending, 10) == 0, "it is merged: nothing to wait for"
    assert (len(pending), pending.unsent_rows) == (1, 0)
    assert add(pending, 10, kind=2) == 3, "a click on the same impression is another event"


def test_a_full_list_takes_resends_and_nothing_else() -> None:
    pending = pending_list(max_rows=2)
    add(pending, 10)
    assert pending.room_for({b"x"})
    assert not pending.room_for({b"x", b"y"})
    add(pending, 20)

    with pytest.raises(PendingFullError):
        add(pending, 30)

    assert positions(pending) == (0, 0, 0, 2)
    assert [entry.seq for entry in pending.of_user("ani")] == [1, 2]
    assert add(pending, 10) == 1
    pending.forget_through(1)
    assert add(pending, 30) == 3, "the refused one left no trace: its number and its key are free"


def test_acknowledged_rows_still_fill_the_list() -> None:
    pending = pending_list(max_rows=1)
    add(pending, 10)
    pending.take_unsent(1)
    pending.acknowledge()
    assert not pending.room_for({b"x"}), "an unmerged row may have to be sent again"


def test_rewind_sends_everything_above_the_watermark_again_oldest_first_before_the_new() -> None:
    pending = pending_list()
    for number in range(1, 6):
        add(pending, number)
    first_time = pending.take_unsent(4)
    pending.acknowledge()
    pending.forget_through(1)

    assert pending.rewind(2) == 2, "seq 3 and 4 had been sent; 5 had not"
    add(pending, 6)

    assert pending.unsent_rows == 4
    again = pending.take_unsent(3)
    assert again[:2] == first_time[2:4], "the same bytes"
    assert seqs(again) == [3, 4, 5]
    assert seqs(pending.take_unsent(3)) == [6]
    pending.acknowledge()
    assert positions(pending) == (1, 6, 6, 6)


def test_what_the_primary_has_merged_is_acknowledged_though_no_answer_came() -> None:
    pending = pending_list()
    for number in (1, 2, 3):
        add(pending, number)
    pending.take_unsent(2)
    assert pending.rewind(2) == 0
    assert positions(pending) == (0, 2, 2, 3)


def test_rewind_never_goes_behind_what_is_forgotten() -> None:
    pending = pending_list()
    for number in range(1, 4):
        add(pending, number)
    pending.take_unsent(3)
    pending.forget_through(2)
    assert pending.rewind(0) == 1
    assert seqs(pending.take_unsent(9)) == [3]


def test_rows_to_be_sent_again_can_be_forgotten_unsent() -> None:
    """The merge had them after all: its watermark arrives while they wait to be sent again."""
    pending = pending_list()
    for number in range(1, 5):
        add(pending, number)
    pending.take_unsent(3)
    pending.acknowledge()
    pending.rewind(0)

    pending.forget_through(2)

    assert positions(pending) == (2, 3, 2, 4)
    assert pending.unsent_rows == 2
    assert seqs(pending.take_unsent(9)) == [3, 4]


def test_forgetting_leaves_nothing_of_a_user() -> None:
    pending = pending_list()
    for number, user_id in enumerate(("ani", "budi", "ani", "budi"), start=1):
        add(pending, number, user_id)
    pending.forget_through(3)
    assert list(pending.of_user("ani")) == []
    assert [entry.seq for entry in pending.of_user("budi")] == [4]
    pending.forget_through(4)
    assert len(pending) == 0
    assert not pending._by_user
    assert not pending._by_key


def test_an_older_watermark_changes_nothing() -> None:
    pending = pending_list()
    for number in range(1, 4):
        add(pending, number)
    pending.forget_through(2)
    pending.forget_through(1)
    assert (pending.forgotten_through, len(pending)) == (2, 1)


@pytest.mark.parametrize("most", [2, 3, 10, 1000])
def test_the_memory_of_merged_keys_is_bounded_and_keeps_the_newest_half(most: int) -> None:
    keys = RecentKeys(most)
    numbers = [number.to_bytes(4, "big") for number in range(5 * most)]
    for count, key in enumerate(numbers, start=1):
        keys.add(key)
        newest = numbers[max(0, count - most // 2) : count]
        assert all(each in keys for each in newest)
    assert sum(each in keys for each in numbers) <= most


@dataclass
class Event:
    number: int
    user_id: str


class AgainstAModel(RuleBasedStateMachine):
    """The model keeps every event for ever in one list, and four numbers."""

    MAX_ROWS = 8

    def __init__(self) -> None:
        super().__init__()
        self.pending = pending_list(max_rows=self.MAX_ROWS, remembered_rows=10_000)
        self.events: list[Event] = []
        self.forgotten = self.acked = self.sent = 0
        self.ever_sent = 0

    def kept(self) -> list[tuple[int, Event]]:
        return [(seq, event) for seq, event in enumerate(self.events, start=1) if seq > self.forgotten]

    @rule(number=st.integers(1, 30), user_id=st.sampled_from(["ani", "budi", "citra"]))
    def append(self, number: int, user_id: str) -> None:
        same = [seq for seq, event in enumerate(self.events, start=1) if event.number == number]
        if same:
            expected = same[0] if same[0] > self.forgotten else 0
            assert add(self.pending, number, user_id) == expected
        elif len(self.kept()) == self.MAX_ROWS:
            with pytest.raises(PendingFullError):
                add(self.pending, number, user_id)
        else:
            self.events.append(Event(number, user_id))
            assert add(self.pending, number, user_id) == len(self.events)

    @rule(max_rows=st.integers(1, 5))
    def take_unsent(self, max_rows: int) -> None:
        expected = list(range(self.sent + 1, len(self.events) + 1))[:max_rows]
        assert seqs(self.pending.take_unsent(max_rows)) == expected
        self.sent += len(expected)
        self.ever_sent = max(self.ever_sent, self.sent)

    @rule()
    def acknowledge(self) -> None:
        self.pending.acknowledge()
        self.acked = max(self.acked, self.sent)

    @precondition(lambda self: self.ever_sent > 0)
    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        watermark = data.draw(st.integers(0, self.ever_sent))
        restart = max(watermark, self.forgotten)
        expected = len(range(restart, self.sent))
        assert self.pending.rewind(watermark) == expected
        self.sent = restart
        self.acked = max(self.acked, restart)  # what is merged is more than committed
        self.acked = max(self.acked, restart)

    @precondition(lambda self: self.ever_sent > 0)
    @rule(data=st.data())
    def forget_through(self, data: st.DataObject) -> None:
        """Only what was sent once can have been merged."""
        watermark = data.draw(st.integers(0, self.ever_sent))
        self.pending.forget_through(watermark)
        self.forgotten = max(self.forgotten, watermark)
        self.sent = max(self.sent, self.forgotten)
        self.acked = max(self.acked, self.forgotten)

    @invariant()
    def positions_agree(self) -> None:
        assert positions(self.pending) == (self.forgotten, self.acked, self.sent, len(self.events))
        assert self.pending.unsent_rows == len(self.events) - self.sent
        assert self.pending.room_for({b"x"}) == (len(self.kept()) < self.MAX_ROWS)

    @invariant()
    def entries_agree(self) -> None:
        assert len(self.pending) == len(self.kept())
        for user_id in ("ani", "budi", "citra"):
            mine = [seq for seq, event in self.kept() if event.user_id == user_id]
            assert [entry.seq for entry in self.pending.of_user(user_id)] == mine


AgainstAModel.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestAgainstAModel = AgainstAModel.TestCase
