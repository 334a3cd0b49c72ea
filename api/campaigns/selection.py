"""Which popups a user sees now. The only place that decides it; `api.campaigns.explanation` tells why."""

from typing import NamedTuple

from api.campaigns.asked import Asked
from api.campaigns.experiments import order_of
from api.campaigns.groups import Allowances
from api.campaigns.history import Seen
from api.campaigns.live import LiveCampaign
from api.campaigns.rules import GLOBALLY_HELD_OUT, HELD_OUT, OUTRANKED, last_shown_us
from api.campaigns.tally import SERVED, SharedCounts

#: A campaign that passes its rules for the user, and what the user has seen of it.
Eligible = tuple[LiveCampaign, Seen | None]


class Choice(NamedTuple):
    """`ghosts` would have been shown, had the user not been held out."""

    shown: list[Eligible]
    ghosts: list[Eligible]


def choose(matching: SharedCounts, asked: Asked) -> Choice:
    """At most `asked.limit`: by priority, then least recently shown to this user, then a stable hash.

    A campaign behind the last priority that is needed is not looked at.
    """
    answer = Answer(asked)
    matching.requests += 1
    seen_of, nobody_held_out = asked.history.of, asked.policy.holdout is None
    equals: list[Eligible] = []
    priority = -1
    for place, campaign in enumerate(matching.matching):
        if campaign.priority != priority:
            if equals:
                answer.take(equals)
                equals = []
                if answer.full:
                    matching.full_before[place] += 1
                    return answer.choice
            priority = campaign.priority
        if nobody_held_out and campaign.holdout is None:
            seen = seen_of(campaign.id)
        else:
            seen = seen_of(asked.counted_as(campaign))
        for fails in campaign.checks_unseen if seen is None else campaign.checks:
            if (code := fails(asked, seen)) is not None:
                campaign.tally[code] += 1
                break
        else:
            equals.append((campaign, seen))
    answer.take(equals)
    return answer.choice


def ranked(equals: list[Eligible], asked: Asked) -> list[Eligible]:
    """Campaigns of one priority: never shown first, then the one shown longest ago, then by hash."""
    if len(equals) > 1:
        user_hash = asked.user_hash
        equals.sort(key=lambda one: (last_shown_us(one[1]), order_of(user_hash, one[0].order_seed)))
    return equals


class Answer:
    """The popups of one answer, as they are taken in the order of their rank."""

    __slots__ = ("_asked", "_globally_held", "_left", "allowances", "choice")

    def __init__(self, asked: Asked) -> None:
        policy = asked.policy
        self.choice = Choice([], [])
        self.allowances = Allowances(asked) if policy.groups else None
        self._asked = asked
        self._left = asked.limit
        self._globally_held = policy.holdout is not None and asked.globally_held

    @property
    def full(self) -> bool:
        return self._left <= 0

    def take(self, equals: list[Eligible]) -> None:
        """Offer campaigns of one priority, and count what becomes of them."""
        for one in ranked(equals, self._asked):
            one[0].tally[self.offer(one) or SERVED] += 1

    def offer(self, one: Eligible) -> str | None:
        """Take it, or the code why not. Who is held out of one campaign sees the next one in its place.

        Who is held out of all of them sees nothing in its place: else it would be no holdout.
        """
        campaign = one[0]
        if self._left <= 0:
            return OUTRANKED
        allowances = self.allowances
        if allowances is not None and (code := allowances.refuses(campaign)) is not None:
            return code
        if campaign.holdout is not None and self._asked.held_out_of(campaign):
            self.choice.ghosts.append(one)
            return HELD_OUT
        self._left -= 1
        if allowances is not None:
            allowances.take(campaign)
        if self._globally_held and not campaign.exempt:
            self.choice.ghosts.append(one)
            return GLOBALLY_HELD_OUT
        self.choice.shown.append(one)
        return None
