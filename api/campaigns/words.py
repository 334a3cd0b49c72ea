"""The reasons in plain English: one sentence each, with the figures that were counted."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from api.campaigns import rules
from api.campaigns.rules import Refusal

_WINDOWS: Final = {
    "day": "on this day",
    "week": "in this week",
    "month": "in this month",
    "session": "in this session",
    "lifetime": "ever",
}
_DONE: Final = {"click": "clicked it", "dismiss": "dismissed it", "convert": "converted"}
Detail = Mapping[str, Any]


def sentence(refusal: Refusal, until: str | None, *, ghosts: bool = False) -> str:
    """`until` is the refusal's end, with ENDED the campaign's, as people write it.

    `ghosts`: what was counted was only held back.
    """
    code, detail, _ = refusal
    if code == rules.NOT_STARTED:
        return f"it has not started; from {until}"
    if code == rules.ENDED:
        return f"it ended at {until}"
    told = _WORDS[code](detail)
    if ghosts and code in (rules.CAPPED, rules.COOLING_DOWN):
        told = f"{told} (counting what was held back from this user)"
    if until is not None:
        return f"{told}; again from {until}"
    return f"{told}: for good" if _ends_never(code, detail) else told


def mismatch(needs: str, given: str) -> str:
    """Of conditions that the request does not meet, and what it says of their attributes; both in words."""
    return f"it needs {needs}; the request has {given}"


def _ends_never(code: str, detail: Detail) -> bool:
    if code == rules.OUT_OF_BUDGET:
        return bool(detail["limit"] == "total" and detail["used"] >= detail["allowed"] > 0)
    return code == rules.STOPPED or detail.get("window") == "lifetime"


def _not_live(detail: Detail) -> str:
    if detail["status"] == "live":
        return "it became live a moment ago, or its stored document is not valid: the service's log tells"
    return f"its status is {detail['status']}: only live campaigns are shown"


def _stopped(detail: Detail) -> str:
    done = f"the user has {_DONE[detail['after']]} {_times(detail['count'])}"
    return f"{done}, and it stops after {detail['limit']:,}"


def _capped(detail: Detail) -> str:
    return f"shown {_counted(detail)}, the limit is {detail['limit']:,}"


def _policy_capped(detail: Detail) -> str:
    whose, who = _group(detail)
    told = f"{who} were shown {_counted(detail)}{_chosen(detail)}"
    return f"{told}, the limit of {whose} is {detail['limit']:,}"


def _policy_gap(detail: Detail) -> str:
    whose, _ = _group(detail)
    after = "it would follow another popup of this answer" if detail["chosen_before"] else "it is too soon"
    return f"{after}: {whose} wants {_length(detail['seconds'])} between two popups"


def _no_session(detail: Detail) -> str:
    whose, _ = _group(detail) if "of" in detail else ("it", "")
    return f"{whose} has a cap for each session, and the request names none (session=)"


def _out_of_budget(detail: Detail) -> str:
    if detail.get("source") == "leases":
        spent = f"{detail['used']:,} of {detail['allowed']:,} are spent"
        return f"this process has no free unit {_period(detail)}; {spent}"
    if detail.get("opened") is False:
        return "its budget has just become hard: units are handed out when all processes know of it"
    if not detail["allowed"]:
        return "what its budget has spent is not known yet in this process: ask again in a moment"
    return f"{detail['used']:,} of {detail['allowed']:,} impressions {_period(detail)} are spent"


def _paced(detail: Detail) -> str:
    used = f"{detail['used']:,} impressions {_period(detail)}"
    return f"{used}, and the even pace allows {detail['allowed']:,} by now"


def _outranked(detail: Detail) -> str:
    return f"others come before it, and the request asks for {_count(detail['limit'], 'popup')}"


_WORDS: Final[dict[str, Callable[[Detail], str]]] = {
    rules.NOT_LIVE: _not_live,
    rules.OTHER_PLACEMENT: lambda detail: f"it is for {detail['placement']}, not for {detail['asked']}",
    rules.OUTSIDE_SCHEDULE: lambda detail: f"outside its hours (by the clock of {detail['timezone']})",
    rules.NOT_LISTED: lambda _: "the user is not on its audience list",
    rules.STOPPED: _stopped,
    rules.CAPPED: _capped,
    rules.NO_SESSION: _no_session,
    rules.COOLING_DOWN: lambda detail: f"shown less than {_length(detail['seconds'])} ago",
    rules.OUT_OF_BUDGET: _out_of_budget,
    rules.PACED: _paced,
    rules.POLICY_CAPPED: _policy_capped,
    rules.POLICY_GAP: _policy_gap,
    rules.TAG_CAPPED: _policy_capped,
    rules.TAG_GAP: _policy_gap,
    rules.HELD_OUT: lambda detail: f"the user is in its holdout of {detail['percent']:g} %",
    rules.GLOBALLY_HELD_OUT: lambda detail: f"the user is in the global holdout of {detail['percent']:g} %",
    rules.OUTRANKED: _outranked,
}


def _group(detail: Detail) -> tuple[str, str]:
    """Whose limit it is, and of what."""
    tag = detail.get("tag")
    return ("the policy", "campaigns") if tag is None else (f"the tag {tag}", f"campaigns with the tag {tag}")


def _counted(detail: Detail) -> str:
    window = detail["window"]
    return f"{_times(detail['count'])} {_WINDOWS.get(window, f'in {window}')}"


def _chosen(detail: Detail) -> str:
    before = detail["chosen_before"]
    return f" (with {before:,} of this answer)" if before else ""


def _period(detail: Detail) -> str:
    return "of its budget for the day" if detail["limit"] == "per_day" else "of its budget"


def _times(count: int) -> str:
    return _count(count, "time")


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _length(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


class Ranked(NamedTuple):
    """What decides a campaign's place; `shown` is `shown_us` as people write it, None if never."""

    key: str
    priority: int
    shown_us: int
    shown: str | None


def precedence(first: Ranked, second: Ranked | None) -> str:
    """Why the one comes before the other, which is the next one."""
    if second is None:
        return "no other comes after it"
    if first.priority != second.priority:
        return f"priority {first.priority:,} before {second.priority:,} ({second.key})"
    if first.shown_us != second.shown_us:
        when = "never shown" if first.shown is None else f"shown {first.shown}"
        return f"{when}, before shown {second.shown} ({second.key})"
    return f"as {second.key}, and the user's own order between them decides"
