"""The decision: which campaigns a user may see, in which order, and why not the others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from tests.oracle.documents import Document, Event
from tests.oracle.rules import (
    Rule,
    Situation,
    cap_rule,
    gap_rule,
    globally_held_out,
    held_out,
    last,
    of_kind,
    own_events,
    own_rules,
)

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Verdict:
    """The failing rules in the order of evaluation, `outranked` before them; none for what was chosen."""

    rules: tuple[Rule, ...]
    own: tuple[Rule, ...] = ()  # all that look at the campaign alone, failing or not

    def again(self, now: datetime) -> datetime | None:
        """The earliest later instant at which none of them fails; None: never, as things stand."""
        failing: Sequence[Rule] = self.rules
        then: datetime | None = now
        while failing and then is not None:
            untils = [rule.until(then) for rule in failing]
            then = None if None in untils else max(until for until in untils if until is not None)
            failing = [] if then is None else [rule for rule in self.own if rule.fails(then)]
        return then

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(rule.code for rule in self.rules)

    @property
    def first(self) -> str | None:
        return self.rules[0].code if self.rules else None


@dataclass
class Verdicts:
    """Campaigns by their ids; `ranking` has the eligible ones, `ghosts` those that would have been shown."""

    of: dict[int, Verdict] = field(default_factory=dict)
    ranking: list[int] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)
    ghosts: list[int] = field(default_factory=list)


def decide(situation: Situation) -> Verdicts:
    return _Walk(situation).verdicts()


class _Walk:
    """Through the eligible campaigns, in their order, while there are slots."""

    def __init__(self, situation: Situation) -> None:
        self.s = situation
        self.result = Verdicts()
        #: By tag, "" for the policy itself: what this answer counts as shown now.
        self.shown_now: Counter[str] = Counter()
        self.slots = situation.request["limit"]

    def verdicts(self) -> Verdicts:
        eligible = []
        for campaign in self.s.campaigns.values():
            failed = [rule for rule in own_rules(campaign, self.s) if rule.fails(self.s.now)]
            if failed:
                others = [*self._refusing(campaign), *self._holdouts(campaign)]
                self._reject(campaign, [*failed, *others])
            else:
                eligible.append(campaign)
        eligible.sort(key=self._rank)
        for campaign in eligible:
            self.result.ranking.append(campaign["id"])
            self._visit(campaign)
        return self.result

    def _rank(self, campaign: Document) -> tuple[int, datetime, int]:
        newest = last(of_kind(own_events(campaign, self.s), "impression"))
        order = self.s.draws.order(self.s.request["user"], campaign)
        return campaign["priority"], newest or _NEVER, order

    def _visit(self, campaign: Document) -> None:
        refused, withheld = self._refusing(campaign), self._holdouts(campaign)
        if self.slots == 0:
            self._reject(campaign, [Rule("outranked", lambda _: True), *refused, *withheld])
        elif refused:
            self._reject(campaign, [*refused, *withheld])
        elif withheld:
            self._reject(campaign, withheld)
            self.result.ghosts.append(campaign["id"])
            if not held_out(campaign, self.s):
                self._take_slot(campaign)
        else:
            self.result.of[campaign["id"]] = Verdict(())
            self.result.chosen.append(campaign["id"])
            self._take_slot(campaign)

    def _take_slot(self, campaign: Document) -> None:
        self.slots -= 1
        if campaign["counts_for_policy"]:
            self.shown_now.update(["", *campaign["tags"]])

    def _reject(self, campaign: Document, rules: Sequence[Rule]) -> None:
        self.result.of[campaign["id"]] = Verdict(tuple(rules), tuple(own_rules(campaign, self.s)))

    def _refusing(self, campaign: Document) -> list[Rule]:
        """What the policy and the campaign's tags have against one more."""
        if campaign["exempt"]:
            return []
        groups = [self._group_rules("policy", "", self.s.policy)]
        tags = self.s.policy["tags"]
        groups += [
            self._group_rules("tag", tag, tags[tag]) for tag in sorted(campaign["tags"]) if tag in tags
        ]
        return [rule for rules in groups for rule in rules if rule.fails(self.s.now)]

    def _group_rules(self, name: str, tag: str, limits: Document) -> Iterator[Rule]:
        shown = [*self._group_events(tag), *self._shown_now(tag)]
        zone, session = ZoneInfo(self.s.policy["timezone"]), self.s.request["session"]
        for cap in limits["caps"]:
            yield cap_rule(f"{name}_capped", cap, shown, zone, session)
        if limits["min_gap"] is not None:
            yield gap_rule(f"{name}_gap", limits["min_gap"], shown)

    def _shown_now(self, tag: str) -> list[Event]:
        times, session = self.shown_now[tag], self.s.request["session"]
        return [Event(0, "impression", self.s.now, session, times)] if times else []

    def _group_events(self, tag: str) -> list[Event]:
        """Impressions of what counts; of a globally held out user ghosts instead, but of what is exempt."""
        events = []
        for event in self.s.events:
            campaign = self.s.campaigns.get(event.campaign)
            if campaign is None or not campaign["counts_for_policy"] or (tag and tag not in campaign["tags"]):
                continue
            by_ghosts = globally_held_out(self.s) and not campaign["exempt"]
            if event.kind == ("ghost" if by_ghosts else "impression"):
                events.append(event)
        return events

    def _holdouts(self, campaign: Document) -> list[Rule]:
        rules = []
        if held_out(campaign, self.s):
            rules.append(Rule("held_out", lambda _: True))
        if globally_held_out(self.s) and not campaign["exempt"]:
            rules.append(Rule("globally_held_out", lambda _: True))
        return rules
