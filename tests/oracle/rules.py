"""Each rule by itself: its code, whether it fails at an instant, and when that could change."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from tests.oracle import calendars
from tests.oracle.documents import Document, Event, instant, length, zone_of
from tests.oracle.targeting import matches

_KINDS: Final = ("click", "dismiss", "convert")
_PERIODS: Final = ("day", "week", "month")
#: So many newest impressions of a campaign are kept for each user.
_KEPT: Final = 64


class Draws(Protocol):
    """Hashes, taken as given."""

    def order(self, user: str, campaign: Document) -> int: ...
    def held_out(self, user: str, campaign: Document) -> bool: ...
    def globally_held_out(self, user: str, percent: float) -> bool: ...


@dataclass(frozen=True)
class Situation:
    """All that a decision depends on.

    `request`: user, placement, attributes, limit, session and tz (or None), test. `spent`: see `_budget`.
    """

    campaigns: dict[int, Document]
    policy: Document
    events: list[Event]
    listed: frozenset[int]
    request: Document
    now: datetime
    draws: Draws
    spent: dict[int, Document] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    code: str
    fails: Callable[[datetime], bool]
    changes: Callable[[datetime], Iterable[datetime]] = lambda _: ()

    def until(self, now: datetime) -> datetime | None:
        """The earliest later instant at which this rule alone doesn't fail; None: never, as things stand."""
        later = sorted(each for each in self.changes(now) if each > now)
        return next((each for each in later if not self.fails(each)), None)


def held_out(campaign: Document, s: Situation) -> bool:
    """By the campaign's own holdout."""
    return not s.request["test"] and s.draws.held_out(s.request["user"], campaign)


def globally_held_out(s: Situation) -> bool:
    percent = s.policy["holdout_percent"]
    return not s.request["test"] and s.draws.globally_held_out(s.request["user"], percent)


def is_ghost_side(campaign: Document, s: Situation) -> bool:
    return held_out(campaign, s) or (globally_held_out(s) and not campaign["exempt"])


def own_events(campaign: Document, s: Situation) -> list[Event]:
    """This user's with this campaign, on the side that counts for them; ghosts as what they stand for."""
    mine = [event for event in s.events if event.campaign == campaign["id"]]
    if not is_ghost_side(campaign, s):
        return [event for event in mine if event.kind in ("impression", *_KINDS)]
    stands_for = {"ghost": "impression", "ghost_convert": "convert"}
    return [replace(event, kind=stands_for[event.kind]) for event in mine if event.kind in stands_for]


def of_kind(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event.kind == kind]


def number(events: Iterable[Event]) -> int:
    return sum(event.times for event in events)


def last(events: Iterable[Event]) -> datetime | None:
    return max((event.at for event in events), default=None)


def own_rules(campaign: Document, s: Situation) -> Iterator[Rule]:
    """Those that look at this campaign alone, in the order of evaluation."""
    request = s.request
    yield Rule("not_live", lambda _: campaign["status"] != "live")
    yield Rule("other_placement", lambda _: campaign["placement"] != request["placement"])
    yield Rule("targeting", lambda _: not matches(campaign["targeting"], request["attributes"]))
    yield from _times(campaign, s)
    yield Rule("not_listed", lambda _: campaign["audience"] == "listed" and campaign["id"] not in s.listed)
    events = own_events(campaign, s)
    for kind in _KINDS:
        yield from _stop(kind, campaign, of_kind(events, kind))
    shown = of_kind(events, "impression")
    for cap in campaign["caps"]:
        yield cap_rule("capped", cap, shown, ZoneInfo(campaign["timezone"]), request["session"])
    if campaign["cooldown"] is not None:
        yield gap_rule("cooling_down", campaign["cooldown"], shown)
    if campaign["budget"] is not None:
        yield from _budget(campaign, s)


def schedule_zone(campaign: Document, request: Document) -> tzinfo:
    if campaign["schedule_timezone"] == "user" and request["tz"] is not None:
        return zone_of(request["tz"])
    return ZoneInfo(campaign["timezone"])


def _times(campaign: Document, s: Situation) -> Iterator[Rule]:
    starts, ends = instant(campaign["starts_at"]), instant(campaign["ends_at"])
    if starts is not None:
        yield Rule("not_started", lambda now: now < starts, lambda _: [starts])
    if ends is not None:
        yield Rule("ended", lambda now: now >= ends)
    schedule, zone = campaign["schedule"], schedule_zone(campaign, s.request)
    yield Rule(
        "outside_schedule",
        lambda now: not calendars.on_air(schedule, now, zone),
        lambda now: calendars.daypart_edges(schedule, now, zone),
    )


def _stop(kind: str, campaign: Document, done: list[Event]) -> Iterator[Rule]:
    stop = (campaign["stop_after"] or {}).get(kind)
    if stop is None:
        return
    count, span = (stop, None) if isinstance(stop, int) else (stop["count"], stop.get("for"))
    if number(done) < count:
        return
    newest = last(done)
    if span is None or newest is None:
        yield Rule("stopped", lambda _: True)
    else:
        again = newest + length(span)
        yield Rule("stopped", lambda now: now < again, lambda _: [again])


def cap_rule(code: str, cap: Document, shown: list[Event], zone: tzinfo, session: str | None) -> Rule:
    window: str = cap["window"]
    limit: int = cap["limit"]
    if window == "session" and session is None:
        return Rule("no_session", lambda _: True)

    def fails(now: datetime) -> bool:
        return counted(window, shown, now, zone, session) >= limit

    def changes(now: datetime) -> Iterable[datetime]:
        if window in ("session", "lifetime"):
            return ()
        if window in _PERIODS:
            return calendars.next_periods(window, now, zone)
        return [event.at + length(window) for event in shown]

    return Rule(code, fails, changes)


def counted(window: str, shown: list[Event], now: datetime, zone: tzinfo, session: str | None) -> int:
    """How many impressions are within the window that ends now."""
    if window == "lifetime":
        return number(shown)
    if window == "session":
        return sum(number(_of_session(events, session)) for events in _by_campaign(shown))
    if window in _PERIODS:
        begin = calendars.period_begin(window, now, zone)
        return number(event for event in shown if event.at >= begin)
    return number(event for event in shown if now - event.at < length(window))


def gap_rule(code: str, gap: str, shown: list[Event]) -> Rule:
    newest = last(shown)
    if newest is None:
        return Rule(code, lambda _: False)
    again = newest + length(gap)
    return Rule(code, lambda now: now < again, lambda _: [again])


def _by_campaign(shown: list[Event]) -> list[list[Event]]:
    return [[event for event in shown if event.campaign == one] for one in {each.campaign for each in shown}]


def _of_session(shown: list[Event], session: str | None) -> list[Event]:
    """Among the newest of one campaign that are kept; a bulk at the edge is cut."""
    found, room = [], _KEPT
    for event in sorted(shown, key=lambda event: event.at, reverse=True):
        times = min(event.times, room)
        room -= times
        if event.session == session:
            found.append(replace(event, times=times))
    return found


def _budget(campaign: Document, s: Situation) -> Iterator[Rule]:
    """`spent` has, of a soft budget, impressions in `total` and `today`; of a hard one, the free `units`."""
    budget, spent = campaign["budget"], s.spent[campaign["id"]]
    zone = ZoneInfo(campaign["timezone"])
    if budget["hard"]:
        yield Rule("out_of_budget", lambda _: not spent["units"])
        return
    today = calendars.local_date(s.now, zone)

    def used_today(now: datetime) -> int:
        return int(spent["today"]) if calendars.local_date(now, zone) == today else 0

    total, per_day = budget["total"], budget["per_day"]
    if total is not None:
        yield Rule("out_of_budget", lambda _: spent["total"] >= total)
    if per_day is not None:
        yield Rule(
            "out_of_budget",
            lambda now: used_today(now) >= per_day,
            lambda now: calendars.next_periods("day", now, zone),
        )
    if budget["pacing"] == "even":
        used = {"total": spent["total"], "per_day": spent["today"]}
        yield Rule("paced", lambda now: _is_paced(campaign, used, now))


def _is_paced(campaign: Document, used: dict[str, int], now: datetime) -> bool:
    return any(used[name] >= allowed for name, (_, allowed) in curves(campaign, now).items())


def curves(campaign: Document, now: datetime) -> dict[str, tuple[int, float]]:
    """Of each limit that has a curve: the limit, and what an even pace allows now."""
    budget, zone = campaign["budget"], ZoneInfo(campaign["timezone"])
    starts, ends = instant(campaign["starts_at"]), instant(campaign["ends_at"])
    found = {}
    if budget["total"] is not None and starts is not None and ends is not None:
        found["total"] = starts, ends
    if budget["per_day"] is not None:
        found["per_day"] = _day(calendars.local_date(now, zone), zone)
    return {
        name: (budget[name], budget[name] * calendars.active_share(campaign, begin, now, end, zone))
        for name, (begin, end) in found.items()
    }


def _day(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    days = [calendars.first_instant(day + timedelta(days=number), zone) for number in range(4)]
    known = [begin for begin in days if begin is not None]
    return known[0], known[1]
