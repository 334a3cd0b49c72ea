"""The policy in the form in which requests use it: limits of one user's impressions of groups of campaigns.

The first group is all campaigns, then one for each tag that has limits. What is chosen for an answer counts
at once for what is chosen after it, as if it were shown now.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from api.campaigns.experiments import Draw, holdout
from api.campaigns.history import NEVER_US, Seen
from api.campaigns.policy import Limits, Policy
from api.campaigns.rules import (
    NO_SESSION,
    POLICY_CAPPED,
    POLICY_GAP,
    TAG_CAPPED,
    TAG_GAP,
    Refusal,
)
from api.campaigns.windows import compile_window, parse_duration, parse_window, window_left_us

if TYPE_CHECKING:
    from api.campaigns.asked import Asked
    from api.campaigns.live import LiveCampaign

#: No impression is so new: a group without rolling or calendar windows.
_NO_WINDOW_US: Final = 2**63


class Limit:
    """One cap of a group."""

    def __init__(self, limit: int, written: str, zone: ZoneInfo) -> None:
        self.limit = limit
        self.written = written
        self.window = parse_window(written)
        self.by_time = self.window.kind not in ("lifetime", "session")
        self._start = compile_window(self.window, zone) if self.by_time else None
        self._zone = zone

    def start_us(self, now_us: int) -> int:
        return _NO_WINDOW_US if self._start is None else self._start(now_us)

    def counted(self, past: "Past", asked: "Asked") -> int:
        if self.window.kind == "lifetime":
            return past.total
        if self.window.kind == "session":
            return sum(seen.in_session(asked.session) for seen in past.seen)
        start_us = self.start_us(asked.now_us)
        return sum(time_us >= start_us for seen in past.seen for time_us in seen.recent_us)

    def until_us(self, past: "Past", asked: "Asked", taken: int) -> int | None:
        """When one more is admitted, `taken` being shown now; None if that can't be told."""
        if not self.by_time:
            return None
        known = [time_us for seen in past.seen for time_us in seen.recent_us]
        times = sorted([*known, *[asked.now_us] * taken], reverse=True)
        if len(times) < self.limit:
            return None
        return window_left_us(self.window, times[self.limit - 1], asked.now_us, self._zone)


class Past(NamedTuple):
    """One user's impressions of a group's campaigns; `seen` only of those that a window may reach.

    Empty where so few are kept that they don't matter: then counts are too low, and no limit is reached.
    """

    total: int
    newest_us: int
    seen: list[Seen]


class Group:
    """`members` are the campaigns whose impressions count, live or not; None: all but `others`."""

    def __init__(
        self,
        tag: str | None,
        limits: Limits,
        zone: ZoneInfo,
        members: frozenset[int] | None,
        others: Collection[int],
    ) -> None:
        self.tag = tag
        self.capped, self.gap = (POLICY_CAPPED, POLICY_GAP) if tag is None else (TAG_CAPPED, TAG_GAP)
        self.limits = tuple(Limit(cap.limit, cap.window, zone) for cap in limits.caps)
        self.gap_us = None if limits.min_gap is None else parse_duration(limits.min_gap)
        self._members = members
        self._others = others
        self._needs_all = any(not limit.by_time for limit in self.limits)
        self._least = min((limit.limit for limit in self.limits), default=0)

    def past(self, asked: "Asked", exempt: Collection[int]) -> Past:
        oldest_us = min((limit.start_us(asked.now_us) for limit in self.limits), default=_NO_WINDOW_US)
        history, globally_held = asked.history, asked.globally_held
        newest_us, kept, reached = NEVER_US, 0, []
        for counted_as in history.ids():
            campaign_id = abs(counted_as)
            # Who is held out of everything is measured by what would have been shown.
            if (counted_as < 0) is not (globally_held and campaign_id not in exempt):
                continue
            if not self._counts(campaign_id):
                continue
            latest_us = history.newest_us(counted_as)
            newest_us = max(newest_us, latest_us)
            if self._needs_all or latest_us >= oldest_us:
                kept += history.kept(counted_as)
                reached.append(counted_as)
        if not self._needs_all and kept + asked.limit < self._least:
            return Past(0, newest_us, [])  # no limit can be reached in this answer: nothing need be decoded
        seen = [one for counted_as in reached if (one := history.of(counted_as)) is not None]
        return Past(sum(one.total for one in seen), newest_us, seen)

    def _counts(self, campaign_id: int) -> bool:
        return campaign_id not in self._others if self._members is None else campaign_id in self._members


class Standing:
    """How many more impressions a group admits for this user, limit by limit."""

    def __init__(self, group: Group, asked: "Asked", exempt: Collection[int]) -> None:
        self._group = group
        self._past = past = group.past(asked, exempt)
        self._left = [limit.limit - limit.counted(past, asked) for limit in group.limits]
        self._open = group.gap_us is None or past.newest_us + group.gap_us <= asked.now_us
        self._taken = 0
        self._told: Sequence[Refusal] | None = None
        self._about: dict[str, Any] = {} if group.tag is None else {"tag": group.tag}

    def refuses(self, asked: "Asked") -> str | None:
        """The code of the first limit that admits no more."""
        group = self._group
        for limit, left in zip(group.limits, self._left, strict=True):
            if limit.window.kind == "session" and not asked.session:
                return NO_SESSION
            if left <= 0:
                return group.capped
        return None if self._open else group.gap

    def take(self) -> None:
        """One more is shown now."""
        self._left = [left - 1 for left in self._left]
        self._open = self._group.gap_us is None
        self._taken += 1
        self._told = None

    def refusals(self, asked: "Asked") -> Sequence[Refusal]:
        """All limits that admit no more, the first one being that of `refuses`."""
        if self._told is None:
            self._told = [*self._of_limits(asked), *self._of_gap(asked)]
        return self._told

    def _of_limits(self, asked: "Asked") -> Iterator[Refusal]:
        group = self._group
        for limit, left in zip(group.limits, self._left, strict=True):
            about = {**self._about, "window": limit.written, "limit": limit.limit}
            if limit.window.kind == "session" and not asked.session:
                of = "policy" if group.tag is None else "tag"
                yield Refusal(NO_SESSION, {"of": of, **about})
            elif left <= 0:
                about |= {"count": limit.limit - left, "chosen_before": self._taken}
                yield Refusal(group.capped, about, limit.until_us(self._past, asked, self._taken))

    def _of_gap(self, asked: "Asked") -> Iterator[Refusal]:
        group = self._group
        if not self._open and group.gap_us is not None:
            latest_us = max(self._past.newest_us, asked.now_us) if self._taken else self._past.newest_us
            about = {**self._about, "seconds": group.gap_us // 1_000_000, "chosen_before": self._taken}
            yield Refusal(group.gap, about, latest_us + group.gap_us)


@dataclass(eq=False)
class LivePolicy:
    """`exempt` and `tags` are those of all campaigns, live or not."""

    groups: tuple[Group, ...] = ()
    holdout: Draw | None = None
    exempt: frozenset[int] = frozenset()
    _groups_of: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def groups_of(self, campaign: "LiveCampaign") -> tuple[int, ...]:
        """Indexes of the groups that the campaign is in."""
        known = self._groups_of.get(campaign.id)
        if known is None:
            known = self._groups_of[campaign.id] = tuple(
                index
                for index, group in enumerate(self.groups)
                if group.tag is None or group.tag in campaign.tags
            )
        return known


NO_POLICY: Final = LivePolicy()


class Allowances:
    """What the groups admit in one answer. A group is counted when a campaign of it first asks."""

    __slots__ = ("_asked", "_standings")

    def __init__(self, asked: "Asked") -> None:
        self._asked = asked
        self._standings: dict[int, Standing] = {}

    def refuses(self, campaign: "LiveCampaign") -> str | None:
        if campaign.exempt:
            return None
        for index in self._asked.policy.groups_of(campaign):
            code = self._standing(index).refuses(self._asked)
            if code is not None:
                return code
        return None

    def refusals(self, campaign: "LiveCampaign") -> Iterator[Refusal]:
        if not campaign.exempt:
            for index in self._asked.policy.groups_of(campaign):
                yield from self._standing(index).refusals(self._asked)

    def take(self, campaign: "LiveCampaign") -> None:
        if campaign.counts_for_policy:
            for index in self._asked.policy.groups_of(campaign):
                self._standing(index).take()

    def _standing(self, index: int) -> Standing:
        standing = self._standings.get(index)
        if standing is None:
            policy = self._asked.policy
            standing = self._standings[index] = Standing(policy.groups[index], self._asked, policy.exempt)
        return standing


def compile_policy(
    policy: Policy,
    *,
    tags: Mapping[int, Collection[str]],
    uncounted: Collection[int],
    exempt: Collection[int],
) -> LivePolicy:
    """`tags`, `uncounted` and `exempt` are of all campaigns, by id, live or not."""
    zone = ZoneInfo(policy.timezone)
    uncounted = frozenset(uncounted)
    groups = []
    if policy.caps or policy.min_gap is not None:
        groups.append(Group(None, policy, zone, None, uncounted))
    for tag, limits in sorted(policy.tags.items()):
        members = frozenset(each for each, names in tags.items() if tag in names) - uncounted
        groups.append(Group(tag, limits, zone, members, ()))
    return LivePolicy(tuple(groups), holdout("policy\0", policy.holdout_percent), frozenset(exempt))
