"""What is known of one user at one moment: how often and when each campaign was shown, and the lists."""

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class Seen:
    """One user's impressions of one campaign. Times are microseconds since the Unix epoch, newest first."""

    total: int = 0
    recent_us: list[int] = field(default_factory=list)

    def add(self, occurred_at_us: int) -> None:
        """Count one more impression; it may be older than some that are counted."""
        self.total += 1
        at = 0
        while at < len(self.recent_us) and self.recent_us[at] > occurred_at_us:
            at += 1
        self.recent_us.insert(at, occurred_at_us)


@dataclass(slots=True)
class History:
    """`listed` holds the ids of the campaigns whose audience names this user."""

    seen: dict[int, Seen]
    listed: Collection[int] = ()

    def count(self, campaign_id: int, occurred_at_us: int) -> None:
        """Add an impression that the database has not merged yet."""
        seen = self.seen.get(campaign_id)
        if seen is None:
            seen = self.seen[campaign_id] = Seen()
        seen.add(occurred_at_us)
