"""The rules that a campaign has to pass for one user at one moment, in the order in which they are asked.

Each is asked in the same way by the choice, which ends at the first that fails, and by the explanation,
which goes on and has them tell what they counted and when they will pass again.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from api.campaigns.budget import Budget, Shortage
from api.campaigns.fields import Cap, Stop
from api.campaigns.history import CLICK, CONVERT, DISMISS, NEVER_US, Seen
from api.campaigns.model import Campaign
from api.campaigns.schedule import Slots, slots_of
from api.campaigns.windows import compile_window, parse_duration, parse_window, to_us, window_left_us

if TYPE_CHECKING:
    from api.campaigns.asked import Asked

NOT_LIVE: Final = "not_live"
OTHER_PLACEMENT: Final = "other_placement"
TARGETING: Final = "targeting"
NOT_STARTED: Final = "not_started"
ENDED: Final = "ended"
OUTSIDE_SCHEDULE: Final = "outside_schedule"
NOT_LISTED: Final = "not_listed"
STOPPED: Final = "stopped"
CAPPED: Final = "capped"
NO_SESSION: Final = "no_session"
COOLING_DOWN: Final = "cooling_down"
OUT_OF_BUDGET: Final = "out_of_budget"
PACED: Final = "paced"
POLICY_CAPPED: Final = "policy_capped"
POLICY_GAP: Final = "policy_gap"
TAG_CAPPED: Final = "tag_capped"
TAG_GAP: Final = "tag_gap"
HELD_OUT: Final = "held_out"
GLOBALLY_HELD_OUT: Final = "globally_held_out"
OUTRANKED: Final = "outranked"

#: In the order of evaluation: the first that fails is the reason.
CODES: Final = (
    NOT_LIVE,
    OTHER_PLACEMENT,
    TARGETING,
    NOT_STARTED,
    ENDED,
    OUTSIDE_SCHEDULE,
    NOT_LISTED,
    STOPPED,
    CAPPED,
    NO_SESSION,
    COOLING_DOWN,
    OUT_OF_BUDGET,
    PACED,
    POLICY_CAPPED,
    POLICY_GAP,
    TAG_CAPPED,
    TAG_GAP,
    HELD_OUT,
    GLOBALLY_HELD_OUT,
    OUTRANKED,
)

#: Asked for a campaign's history with the user (None: there is none); a code if the rule fails.
Check = Callable[["Asked", Seen | None], str | None]
_KINDS: Final = {"click": CLICK, "dismiss": DISMISS, "convert": CONVERT}


class Refusal(NamedTuple):
    """A rule that fails. `until_us`: when it will pass if nothing happens; None if that can't be told."""

    code: str
    detail: dict[str, Any]
    until_us: int | None = None


class Rule(Protocol):
    """`fails` is asked on every request; `explained` only when it has failed, at the same moment.

    `of_users_past`: without a history it passes. `may_fail_again`: once it passes, later it may fail,
    though nothing has happened to the user.
    """

    of_users_past: bool
    may_fail_again: bool

    def fails(self, asked: "Asked", seen: Seen | None) -> str | None: ...

    def explained(self, asked: "Asked", seen: Seen | None) -> tuple[dict[str, Any], int | None]: ...


def refusals(rules: tuple[Rule, ...], asked: "Asked", seen: Seen | None) -> Iterator[Refusal]:
    """Of all rules that fail, in their order."""
    for rule in rules:
        code = rule.fails(asked, seen)
        if code is not None:
            yield Refusal(code, *rule.explained(asked, seen))


def rules_of(campaign: Campaign, zone: ZoneInfo, budget: Budget | None) -> tuple[Rule, ...]:
    """Those that the campaign has, in the order of evaluation."""
    rules: list[Rule] = []
    if campaign.starts_at is not None or campaign.ends_at is not None:
        rules.append(Flight(*flight_of(campaign)))
    slots = slots_of(campaign.schedule)
    if slots is not None:
        rules.append(InSlot(slots, zone, follows_user=campaign.schedule_timezone == "user"))
    if campaign.audience == "listed":
        rules.append(Listed(campaign.id))
    if campaign.stop_after is not None:
        stops = [(kind, getattr(campaign.stop_after, kind)) for kind in _KINDS]
        rules += [Stopped(kind, stop) for kind, stop in stops if stop is not None]
    rules += [cap_rule(cap, zone) for cap in campaign.caps]
    if campaign.cooldown is not None:
        rules.append(Cooldown(parse_duration(campaign.cooldown)))
    if budget is not None:
        rules.append(WithinBudget(budget))
    return tuple(rules)


def flight_of(campaign: Campaign) -> tuple[int, int]:
    """First instant, and first after the last; far away where there is none."""
    starts_us = -(2**63) if campaign.starts_at is None else to_us(campaign.starts_at)
    return starts_us, 2**63 if campaign.ends_at is None else to_us(campaign.ends_at)


def cap_rule(cap: Cap, zone: ZoneInfo) -> Rule:
    window = parse_window(cap.window)
    if window.kind == "lifetime":
        return LifetimeCap(cap.limit)
    return SessionCap(cap.limit) if window.kind == "session" else WindowCap(cap, zone)


class Flight:
    """Start inclusive, end exclusive."""

    of_users_past = False
    may_fail_again = True

    def __init__(self, starts_us: int, ends_us: int) -> None:
        self.starts_us = starts_us
        self.ends_us = ends_us

    def fails(self, asked: "Asked", _seen: Seen | None) -> str | None:
        if asked.now_us < self.starts_us:
            return NOT_STARTED
        return ENDED if asked.now_us >= self.ends_us else None

    def explained(self, asked: "Asked", _seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        return {}, self.starts_us if asked.now_us < self.starts_us else None


class InSlot:
    of_users_past = False
    may_fail_again = True

    def __init__(self, slots: Slots, zone: ZoneInfo, *, follows_user: bool) -> None:
        self._slots = slots
        self._zone = zone
        self._follows_user = follows_user

    def fails(self, asked: "Asked", _seen: Seen | None) -> str | None:
        return None if self._slots.active(asked.now_us, self._clock(asked)) else OUTSIDE_SCHEDULE

    def explained(self, asked: "Asked", _seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        zone = self._clock(asked)
        return {"timezone": str(zone)}, self._slots.opening_us(asked.now_us, zone)

    def _clock(self, asked: "Asked") -> Any:
        return asked.zone if self._follows_user and asked.zone is not None else self._zone


class Listed:
    of_users_past = False
    may_fail_again = False

    def __init__(self, campaign_id: int) -> None:
        self._campaign_id = campaign_id

    def fails(self, asked: "Asked", _seen: Seen | None) -> str | None:
        return None if self._campaign_id in asked.history.listed else NOT_LISTED

    def explained(self, _asked: "Asked", _seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        return {}, None


class Stopped:
    """After so many interactions of a kind; for good, or for some time after the last one."""

    of_users_past = True
    may_fail_again = False

    def __init__(self, kind: str, stop: Stop) -> None:
        self._name = kind
        self._kind = _KINDS[kind]
        self._count = stop.count
        self._for_us = None if stop.for_ is None else parse_duration(stop.for_)

    def fails(self, asked: "Asked", seen: Seen | None) -> str | None:
        if seen is None or seen.interactions[self._kind] < self._count:
            return None
        if self._for_us is not None and asked.now_us >= seen.last_us[self._kind] + self._for_us:
            return None
        return STOPPED

    def explained(self, _asked: "Asked", seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        assert seen is not None
        until_us = None if self._for_us is None else seen.last_us[self._kind] + self._for_us
        counted = seen.interactions[self._kind]
        return {"after": self._name, "count": counted, "limit": self._count}, until_us


class LifetimeCap:
    of_users_past = True
    may_fail_again = False

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def fails(self, _asked: "Asked", seen: Seen | None) -> str | None:
        return CAPPED if seen is not None and seen.total >= self._limit else None

    def explained(self, _asked: "Asked", seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        assert seen is not None
        return {"window": "lifetime", "limit": self._limit, "count": seen.total}, None


class WindowCap:
    """Rolling or calendar: at most `limit` impressions since the window's start."""

    of_users_past = True
    may_fail_again = False

    def __init__(self, cap: Cap, zone: ZoneInfo) -> None:
        self._written = cap.window
        self._window = parse_window(cap.window)
        self._start = compile_window(self._window, zone)
        self._zone = zone
        self._limit = cap.limit
        self._last = cap.limit - 1

    def fails(self, asked: "Asked", seen: Seen | None) -> str | None:
        if seen is None:
            return None
        # Newest first: if the limit-th newest is inside the window, so are all before it.
        recent_us = seen.recent_us
        if len(recent_us) > self._last and recent_us[self._last] >= self._start(asked.now_us):
            return CAPPED
        return None

    def explained(self, asked: "Asked", seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        assert seen is not None
        start_us = self._start(asked.now_us)
        count = sum(time_us >= start_us for time_us in seen.recent_us)
        until_us = window_left_us(self._window, seen.recent_us[self._last], asked.now_us, self._zone)
        return {"window": self._written, "limit": self._limit, "count": count}, until_us


class SessionCap:
    """A request that names no session is not guessed at."""

    of_users_past = False
    may_fail_again = False

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def fails(self, asked: "Asked", seen: Seen | None) -> str | None:
        if not asked.session:
            return NO_SESSION
        if seen is None or not seen.sessions:
            return None
        return CAPPED if seen.in_session(asked.session) >= self._limit else None

    def explained(self, asked: "Asked", seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        count = 0 if seen is None or not asked.session else seen.in_session(asked.session)
        return {"window": "session", "limit": self._limit, "count": count}, None


class Cooldown:
    of_users_past = True
    may_fail_again = False

    def __init__(self, length_us: int) -> None:
        self._length_us = length_us

    def fails(self, asked: "Asked", seen: Seen | None) -> str | None:
        if seen is None or not seen.recent_us or seen.recent_us[0] + self._length_us <= asked.now_us:
            return None
        return COOLING_DOWN

    def explained(self, _asked: "Asked", seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        assert seen is not None
        return {"seconds": self._length_us // 1_000_000}, seen.recent_us[0] + self._length_us


class WithinBudget:
    of_users_past = False
    may_fail_again = True

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def fails(self, asked: "Asked", _seen: Seen | None) -> str | None:
        shortage = self._budget.shortage(asked.now_us)
        if shortage is not None and self._budget in asked.accounts:
            shortage = self._of_account(asked)
        return None if shortage is None else shortage.code

    def explained(self, asked: "Asked", _seen: Seen | None) -> tuple[dict[str, Any], int | None]:
        if self._budget in asked.accounts:
            shortage = self._of_account(asked)
        else:
            shortage = self._budget.why_not(asked.now_us)
        if shortage is None:
            return {}, None
        detail = {"limit": shortage.limit, "used": shortage.used, "allowed": shortage.allowed}
        return detail, shortage.until_us

    def _of_account(self, asked: "Asked") -> Shortage | None:
        known = asked.accounts[self._budget]
        over = known is not None and known.until_us is not None and asked.now_us >= known.until_us
        return None if over else known


def last_shown_us(seen: Seen | None) -> int:
    return seen.recent_us[0] if seen is not None and seen.recent_us else NEVER_US
