"""What is known of one user at one moment: how often and when each campaign was shown, and the lists."""

from bisect import insort
from collections.abc import Collection
from operator import neg


class Seen:
    """One user's impressions of one campaign. Times are microseconds since the Unix epoch, newest first."""

    __slots__ = ("recent_us", "total")

    def __init__(self, total: int = 0, recent_us: list[int] | None = None) -> None:
        self.total = total
        self.recent_us = [] if recent_us is None else recent_us

    def add(self, occurred_at_us: int) -> None:
        """Count one more impression; it may be older than some that are counted."""
        self.total += 1
        insort(self.recent_us, occurred_at_us, key=neg)


class History:
    """`listed` holds the ids of the campaigns whose audience names this user."""

    __slots__ = ("_seen", "listed")

    def __init__(self, seen: dict[int, Seen], listed: Collection[int] = ()) -> None:
        self._seen = seen
        self.listed = listed

    def of(self, campaign_id: int) -> Seen | None:
        """The user's impressions of a campaign; None if there are none."""
        return self._seen.get(campaign_id)

    def count(self, campaign_id: int, occurred_at_us: int) -> None:
        """Add an impression that the database has not merged yet."""
        seen = self.of(campaign_id)
        if seen is None:
            seen = self._seen[campaign_id] = Seen()
        seen.add(occurred_at_us)
