"""Impressions that this process has taken and no snapshot has shown as merged yet, by their day."""

from collections import Counter, deque
from dataclasses import dataclass
from datetime import date
from typing import Final

#: They are kept one by one up to here, then in groups: bounded also when no answer comes.
_GROUPS_MAX: Final = 10_000


class Unmerged:
    def __init__(self) -> None:
        self.total = 0
        self.by_day: Counter[date] = Counter()
        self.groups: deque[_Group] = deque()

    def add(self, seq: int, day: date) -> None:
        """`seq` rises."""
        groups = self.groups
        if len(groups) >= _GROUPS_MAX and groups[-1].day == day:
            groups[-1].seq = seq
            groups[-1].events += 1
        else:
            groups.append(_Group(seq, day))
        self.by_day[day] += 1
        self.total += 1

    def forget(self, watermark: int) -> None:
        """What is merged up to this seq."""
        groups = self.groups
        while groups and groups[0].seq <= watermark:
            merged = groups.popleft()
            self.total -= merged.events
            self.by_day[merged.day] -= merged.events
            if not self.by_day[merged.day]:
                del self.by_day[merged.day]


@dataclass(slots=True, eq=False)
class _Group:
    """Impressions of one day; `seq` is the last one's."""

    seq: int
    day: date
    events: int = 1
