"""The age of the oldest unmerged event, against a list that notes every event's arrival."""

import random

from buffer.age import _MARKS_MAX, OldestPending


def test_nothing_is_pending() -> None:
    assert OldestPending().age_seconds(5.0) == 0.0


def test_it_is_as_old_as_the_look_at_which_it_was_new() -> None:
    oldest = OldestPending()
    oldest.note(1.0, last_seq=3, forgotten_through=0)
    oldest.note(2.0, last_seq=5, forgotten_through=0)
    assert oldest.age_seconds(4.0) == 3.0
    oldest.note(4.0, last_seq=5, forgotten_through=2)
    assert oldest.age_seconds(4.0) == 3.0, "seq 3 is still there"
    oldest.note(5.0, last_seq=5, forgotten_through=3)
    assert oldest.age_seconds(5.0) == 3.0, "now seq 4 is the oldest"
    oldest.note(6.0, last_seq=5, forgotten_through=5)
    assert oldest.age_seconds(6.0) == 0.0


def test_what_came_and_went_between_two_looks_leaves_nothing() -> None:
    oldest = OldestPending()
    oldest.note(1.0, last_seq=3, forgotten_through=3)
    assert oldest.age_seconds(9.0) == 0.0


def test_it_agrees_with_a_list_of_all_arrivals() -> None:
    chance = random.Random(3)
    oldest, arrivals, forgotten, now = OldestPending(), [0.0], 0, 0.0
    for _ in range(2000):
        now += 1.0
        arrivals += [now] * chance.choice((0, 0, 1, 5))
        forgotten = chance.randint(forgotten, len(arrivals) - 1)
        oldest.note(now, last_seq=len(arrivals) - 1, forgotten_through=forgotten)
        expected = now - arrivals[forgotten + 1] if forgotten + 1 < len(arrivals) else 0.0
        assert oldest.age_seconds(now) == expected


def test_memory_is_bounded_and_the_oldest_stays_exact() -> None:
    oldest = OldestPending()
    for look in range(5 * _MARKS_MAX):
        oldest.note(float(look), last_seq=look + 1, forgotten_through=0)
        assert len(oldest._marks) <= _MARKS_MAX
        assert oldest.age_seconds(float(look)) == look
    oldest.note(9999.0, last_seq=5 * _MARKS_MAX, forgotten_through=5 * _MARKS_MAX - 1)
    assert oldest.age_seconds(9999.0) > 0.0, "the newest is not lost"
