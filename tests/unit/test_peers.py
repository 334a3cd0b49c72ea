"""What api processes tell each other, and how long it is remembered."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.peers.memory import PeerMemory
from api.peers.message import MAX_BYTES, MessageError, PeerEvent, pack, unpack
from buffer.record import event_key

ME = 7
INT64 = st.integers(-(2**63), 2**63 - 1)
EVENTS = st.builds(
    PeerEvent,
    instance=st.just(ME),
    seq=INT64,
    impression_id=st.binary(min_size=16, max_size=16),
    kind=st.integers(1, 7),
    campaign_id=st.integers(1, 2**31 - 1),
    occurred_at_us=INT64,
    session=st.integers(-(2**31), 2**31 - 1),
    user_id=st.text(max_size=40),
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def impression(
    seq: int, *, user: str = "ani", instance: int = 1, number: int | None = None, kind: int = 1
) -> PeerEvent:
    identity = (seq if number is None else number).to_bytes(16, "big")
    return PeerEvent(instance, seq, identity, kind, 5, 1_000_000 + seq, 0, user)


def memory(clock: Clock | None = None, max_rows: int = 100) -> PeerMemory:
    return PeerMemory(max_rows=max_rows, kept_seconds=60.0, clock=clock or Clock())


def seqs(held: PeerMemory, watermarks: dict[int, int] | None = None, user: str = "ani") -> list[int]:
    return [found.seq for found in held.unmerged(user, watermarks or {}, lambda _: False)]


@given(st.lists(EVENTS, max_size=300))
def test_what_is_packed_is_unpacked_and_no_payload_is_too_long(sent: list[PeerEvent]) -> None:
    payloads = pack(ME, sent)

    assert all(len(payload) <= 7999 for payload in payloads)
    received = [unpack(payload) for payload in payloads]
    assert {instance for instance, _ in received} == {ME}
    assert [one for _, some in received for one in some] == sent


def test_a_process_without_news_says_that_it_is_there() -> None:
    (payload,) = pack(ME, [])

    assert unpack(payload) == (ME, [])


@pytest.mark.parametrize(
    "payload",
    ["", "no base64!", b64encode(b"\x01" + bytes(8)).decode(), b64encode(b"\x02" + bytes(12)).decode()],
)
def test_a_strange_payload_is_refused(payload: str) -> None:
    with pytest.raises(MessageError):
        unpack(payload)


def test_a_payload_that_ends_within_a_user_id_is_refused() -> None:
    (payload,) = pack(ME, [impression(1, user="a-user")])

    with pytest.raises(MessageError, match="user id"):
        unpack(payload[:-4])


def test_the_longest_message_fits_a_notify() -> None:
    assert len(b64encode(bytes(MAX_BYTES))) <= 7999


def test_impressions_above_the_watermark_of_their_instance_count() -> None:
    held = memory()
    held.heard(1, [impression(1), impression(2)])
    held.heard(2, [impression(1, instance=2, number=9), impression(3, user="budi", instance=2)])

    assert seqs(held) == [1, 2, 1]
    assert seqs(held, {1: 1}) == [2, 1]
    assert seqs(held, {1: 2, 2: 1}) == []
    assert seqs(held, user="budi") == [3]


def test_an_impression_that_two_processes_accepted_counts_once() -> None:
    held = memory()
    held.heard(1, [impression(1, number=42)])
    held.heard(2, [impression(8, instance=2, number=42)])

    assert len(seqs(held)) == 1


def test_an_impression_that_is_known_here_does_not_count_again() -> None:
    held = memory()
    held.heard(1, [impression(1, number=42), impression(2)])

    known = event_key((42).to_bytes(16, "big"), 1)
    assert [one.seq for one in held.unmerged("ani", {}, lambda key: key == known)] == [2]


def test_a_popup_s_click_and_its_impression_are_two_events() -> None:
    held = memory()
    held.heard(1, [impression(1, number=42), impression(2, number=42, kind=2)])
    held.heard(2, [impression(8, instance=2, number=42, kind=2)])

    assert sorted(one.kind for one in held.unmerged("ani", {}, lambda _: False)) == [1, 2]


def test_what_is_merged_is_forgotten() -> None:
    held = memory()
    held.heard(1, [impression(n) for n in range(1, 6)])

    held.forget({1: 3})

    assert len(held) == 2
    assert seqs(held) == [4, 5]


def test_an_announcement_that_comes_after_its_merge_is_not_kept() -> None:
    held = memory()
    held.heard(1, [])
    held.forget({1: 3})

    held.heard(1, [impression(3), impression(4)])

    assert seqs(held) == [4]


def test_what_no_merge_ever_brings_is_dropped_by_time() -> None:
    clock = Clock()
    held = memory(clock)
    held.heard(1, [impression(1)])

    clock.now = 59.0
    held.forget({})
    assert seqs(held) == [1]
    clock.now = 60.0
    held.forget({})
    assert seqs(held) == []
    assert held.senders == ()


def test_an_erased_user_is_forgotten_and_nobody_else() -> None:
    held = memory(max_rows=4)
    held.heard(1, [impression(1), impression(2, user="budi"), impression(3)])
    held.forget_user("ani")
    held.forget_user("nobody")
    assert (len(held), seqs(held), seqs(held, user="budi")) == (1, [], [2])
    held.heard(1, [impression(seq) for seq in (4, 5, 6, 7)])  # the oldest goes
    assert (len(held), seqs(held), seqs(held, user="budi")) == (4, [4, 5, 6, 7], [])
    held.forget({1: 7})
    assert len(held) == 0


def test_the_oldest_go_when_there_are_too_many() -> None:
    held = memory(max_rows=3)

    held.heard(1, [impression(n, user=f"user {n % 2}") for n in range(1, 6)])

    assert len(held) == 3
    assert seqs(held, user="user 0") == [4]
    assert seqs(held, user="user 1") == [3, 5]


def test_who_is_there_is_who_was_heard_lately() -> None:
    clock = Clock()
    held = memory(clock)
    held.heard(1, [])
    clock.now = 2.0
    held.heard(2, [])

    assert held.present(3.0) == 2
    clock.now = 4.0
    assert held.present(3.0) == 1
