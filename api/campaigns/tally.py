"""How often campaigns were served, and why requests were not shown them, in this process.

Requests only count; what many of them share (no match, never looked at) is counted once for all campaigns
and handed out to each later, in `Tallies.take`.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from api.campaigns.rules import OUTRANKED, TARGETING

if TYPE_CHECKING:
    from api.campaigns.live import LiveCampaign

SERVED: Final = "served"
#: Some 5 ms of work at once; what is left is taken the next time.
_SHARED_MAX_COUNTS: Final = 50_000


class Tally(Counter[str]):
    """By reject code, and SERVED. `taken` is what has been handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, int] = {}

    def fresh(self) -> dict[str, int]:
        """What was counted since the last time, by reason."""
        news = {
            code: count - self.taken.get(code, 0)
            for code, count in self.items()
            if code != SERVED and count > self.taken.get(code, 0)
        }
        for code, count in news.items():
            self.taken[code] = self.taken.get(code, 0) + count
        return news


class SharedCounts:
    """Of requests whose context matches the same campaigns, sorted by priority.

    `others` are the placement's campaigns that don't match.
    """

    def __init__(self, matching: tuple["LiveCampaign", ...], others: tuple["LiveCampaign", ...]) -> None:
        self.matching = matching
        self.others = others
        self.retired = False  # no request counts here any more
        self.requests = 0
        #: By place in `matching`: requests whose answer was full before it.
        self.full_before: Counter[int] = Counter()

    @property
    def pending(self) -> int:
        """How many counts it takes to hand them out."""
        return (len(self.others) if self.requests else 0) + (len(self.matching) if self.full_before else 0)

    def hand_out(self) -> None:
        if self.requests:
            for campaign in self.others:
                campaign.tally[TARGETING] += self.requests
            self.requests = 0
        if self.full_before:
            requests = 0
            for place in range(min(self.full_before), len(self.matching)):
                requests += self.full_before.get(place, 0)
                self.matching[place].tally[OUTRANKED] += requests
            self.full_before.clear()


class Tallies:
    """Of all campaigns that were live since the process began, until they are taken."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = {}
        self._shared: deque[SharedCounts] = deque()
        self._live: frozenset[int] = frozenset()

    def follow(self, campaigns: Iterable["LiveCampaign"]) -> None:
        """These are live now; the others are forgotten when their counts are taken."""
        for campaign in campaigns:
            self._tallies[campaign.id] = campaign.tally
        self._live = frozenset(campaign.id for campaign in campaigns)

    def share(self, counts: SharedCounts) -> None:
        """From now on to be handed out."""
        self._shared.append(counts)

    def take(self) -> dict[tuple[int, str], int]:
        """Requests since the last time, by campaign id and reason. Bounded work; the rest comes later."""
        self._hand_out()
        news = {
            (campaign_id, code): count
            for campaign_id, tally in self._tallies.items()
            for code, count in tally.fresh().items()
        }
        if not any(counts.pending for counts in self._shared):
            self._tallies = {each: tally for each, tally in self._tallies.items() if each in self._live}
        return news

    def _hand_out(self) -> None:
        work = 0
        for _ in range(len(self._shared)):
            if work >= _SHARED_MAX_COUNTS:
                break
            counts = self._shared.popleft()
            work += counts.pending + 1
            counts.hand_out()
            if not counts.retired:
                self._shared.append(counts)
