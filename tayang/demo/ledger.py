"""What the users have seen, written down on their side of the wire."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Impression:
    """When it occurred, for the service: between two times on our clock, in µs since the epoch.

    `session` is the one in which its popup was fetched.
    """

    earliest_us: int
    latest_us: int
    session: str = ""


@dataclass
class CampaignFigures:
    """`served` and `shown` are counted here; `capped` and `cooling_down` are the service's own figures."""

    placement: str = ""
    status: str = ""
    timezone: str = "UTC"
    caps: tuple[tuple[int, str], ...] = ()  # limit, window
    served: int = 0
    shown: int = 0
    capped: int = 0
    cooling_down: int = 0

    @property
    def caps_text(self) -> str:
        return ", ".join(f"{limit}/{window}" for limit, window in self.caps)


class Ledger:
    def __init__(self, campaigns: Iterable[Mapping[str, Any]]) -> None:
        self.campaigns: defaultdict[str, CampaignFigures] = defaultdict(CampaignFigures)
        #: (campaign, user) → its impressions that were acknowledged, each token once
        self.impressions: defaultdict[tuple[str, str], list[Impression]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.openings = 0
        self.sent_later = 0
        self.sent_twice = 0
        self.workers = 1
        self._tokens: set[str] = set()
        self._before: dict[tuple[str, str], float] | None = None
        self.learn(campaigns)

    def learn(self, campaigns: Iterable[Mapping[str, Any]]) -> None:
        """What the admin API says of campaigns. Those that are known stay as they were at the start."""
        for campaign in campaigns:
            figures = self.campaigns[campaign["key"]]
            if not figures.status:
                figures.status = campaign["status"]
                figures.placement = campaign["placement"]
                figures.timezone = campaign["timezone"]
                figures.caps = tuple((cap["limit"], cap["window"]) for cap in campaign["caps"])

    def popups_served(self, campaigns: Iterable[str]) -> None:
        for campaign in campaigns:
            self.campaigns[campaign].served += 1

    def acknowledged(self, token: str, campaign: str, user: str, impression: Impression) -> None:
        """The service has answered 202. A token that comes again changes nothing."""
        if token not in self._tokens:
            self._tokens.add(token)
            self.campaigns[campaign].shown += 1
            self.impressions[campaign, user].append(impression)

    def failed(self, what: str) -> None:
        self.errors[what] += 1

    def left_out(self, totals: Mapping[tuple[str, str], float], *, workers: int) -> None:
        """(campaign, reason) → how often since the service started; the figures begin with the first call."""
        self.workers = max(self.workers, workers)
        if self._before is None:
            self._before = dict(totals)
        for (campaign, reason), total in totals.items():
            if reason in ("capped", "cooling_down"):
                # A worker that died takes its figures with it.
                count = max(0, round(total - self._before.get((campaign, reason), 0)))
                setattr(self.campaigns[campaign], reason, count)

    def listed(self, placements: Sequence[str]) -> list[tuple[str, CampaignFigures]]:
        """The campaigns to report, by placement: those the users could meet, and whatever was served."""
        rows = [
            (key, figures)
            for key, figures in self.campaigns.items()
            if figures.served or (figures.status == "live" and figures.placement in placements)
        ]
        return sorted(rows, key=lambda row: (row[1].placement, row[0]))

    def total(self, figure: str) -> int:
        return sum(getattr(figures, figure) for figures in self.campaigns.values())
