"""What is known of one user at one moment: how often and when each campaign was shown, and the lists.

Ghosts of campaigns that a user is held out of are kept beside them, as counts of the negative campaign id.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from operator import neg
from typing import Final

#: Indexes into a Seen's interactions.
CLICK: Final = 0
DISMISS: Final = 1
CONVERT: Final = 2

#: Before every interaction.
NEVER_US: Final = -(2**63)
_NO_INTERACTIONS: Final = (0, 0, 0)
_NEVER: Final = (NEVER_US, NEVER_US, NEVER_US)


class Seen:
    """One user's impressions of one campaign. Times are microseconds since the Unix epoch, newest first.

    `sessions` stands beside `recent_us`: the session of each, 0 for none; or is empty, if none had one.
    `interactions` and `last_us` hold clicks, dismissals, conversions: how many, and when the last was.
    """

    __slots__ = ("interactions", "last_us", "recent_us", "sessions", "total")

    def __init__(
        self,
        total: int = 0,
        recent_us: list[int] | None = None,
        sessions: list[int] | None = None,
        interactions: tuple[int, int, int] = _NO_INTERACTIONS,
        last_us: tuple[int, int, int] = _NEVER,
    ) -> None:
        self.total = total
        self.recent_us = [] if recent_us is None else recent_us
        self.sessions = [] if sessions is None else sessions
        self.interactions = interactions
        self.last_us = last_us

    def add(self, occurred_at_us: int, session: int = 0) -> None:
        """Count one more impression; it may be older than some that are counted."""
        self.total += 1
        place = bisect_left(self.recent_us, -occurred_at_us, key=neg)
        if session and not self.sessions:
            self.sessions = [0] * len(self.recent_us)
        self.recent_us.insert(place, occurred_at_us)
        if self.sessions or session:
            self.sessions.insert(place, session)

    def interact(self, kind: int, occurred_at_us: int) -> None:
        """Count one more interaction: CLICK, DISMISS or CONVERT."""
        counts, last = list(self.interactions), list(self.last_us)
        counts[kind] += 1
        last[kind] = max(last[kind], occurred_at_us)
        self.interactions = (counts[0], counts[1], counts[2])
        self.last_us = (last[0], last[1], last[2])

    def in_session(self, session: int) -> int:
        """How many of the impressions that are kept belong to it."""
        return self.sessions.count(session)


class History:
    """`listed` holds the ids of the campaigns whose audience names this user."""

    __slots__ = ("_seen", "listed")

    def __init__(self, seen: dict[int, Seen], listed: Collection[int] = ()) -> None:
        self._seen = seen
        self.listed = listed

    def of(self, campaign_id: int) -> Seen | None:
        """The user's impressions of a campaign; None if there is nothing of it."""
        return self._seen.get(campaign_id)

    def ids(self) -> Iterable[int]:
        """All campaigns that there is something of, and minus those that there are ghosts of."""
        return self._seen.keys()

    def newest_us(self, campaign_id: int) -> int:
        """When the campaign was last shown; NEVER_US if it was not. Cheaper than `of`."""
        seen = self.of(campaign_id)
        return seen.recent_us[0] if seen is not None and seen.recent_us else NEVER_US

    def kept(self, campaign_id: int) -> int:
        """How many times of the campaign are known. Cheaper than `of`."""
        seen = self._seen.get(campaign_id)
        return 0 if seen is None else len(seen.recent_us)

    def count(self, campaign_id: int, occurred_at_us: int, session: int = 0) -> None:
        """Add an impression that the database has not merged yet."""
        self.mark(campaign_id).add(occurred_at_us, session)

    def interact(self, campaign_id: int, kind: int, occurred_at_us: int) -> None:
        """Add an interaction that the database has not merged yet."""
        self.mark(campaign_id).interact(kind, occurred_at_us)

    def mark(self, campaign_id: int) -> Seen:
        """What is known of the campaign, from now on at least that there is something."""
        seen = self.of(campaign_id)
        if seen is None:
            seen = self._seen[campaign_id] = Seen()
        return seen
