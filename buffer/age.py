"""How old the oldest unmerged event is, from a look now and then: nothing is noted for each event."""

from collections import deque
from typing import Final, NamedTuple

#: Beyond that every second mark is dropped: the age of what then is the oldest is shown a little too small.
_MARKS_MAX: Final = 1024


class _Mark(NamedTuple):
    at: float
    last_seq: int


class OldestPending:
    """Marks say: at this time the events up to this seq had arrived."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()

    def note(self, now: float, *, last_seq: int, forgotten_through: int) -> None:
        """`now` in seconds of any clock that never goes back. Both numbers never go back either."""
        marks = self._marks
        if last_seq > (marks[-1].last_seq if marks else forgotten_through):
            marks.append(_Mark(now, last_seq))
        while marks and marks[0].last_seq <= forgotten_through:
            marks.popleft()
        if len(marks) > _MARKS_MAX:
            oldest = marks.popleft()
            self._marks = deque((oldest, *list(marks)[1::2]))

    def age_seconds(self, now: float) -> float:
        """0.0 if there is none. Too small by at most the time between two looks."""
        return now - self._marks[0].at if self._marks else 0.0
