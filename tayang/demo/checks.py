"""What must hold after a demo, from the ledger alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from api.campaigns.windows import Window, parse_window, window_start
from tayang.demo.ledger import Impression, Ledger

_EXAMPLES_SHOWN: Final = 3


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    detail: str


def check(ledger: Ledger) -> list[Check]:
    errors = [f"{count} x {what}" for what, count in ledger.errors.most_common()]
    return [
        _check("no request failed", errors),
        _check("no user was shown a campaign more often than its caps allow", list(_overshoots(ledger))),
        _check("only live campaigns were served", list(_not_live(ledger))),
    ]


def _check(name: str, problems: list[str]) -> Check:
    shown = problems[:_EXAMPLES_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return Check(name, not problems, "; ".join(shown))


def _not_live(ledger: Ledger) -> Iterator[str]:
    for key, figures in ledger.campaigns.items():
        if figures.served and figures.status != "live":
            yield f"{key} is {figures.status or 'unknown'} and was served {figures.served} times"


def _overshoots(ledger: Ledger) -> Iterator[str]:
    for (campaign, user), impressions in sorted(ledger.impressions.items()):
        figures = ledger.campaigns[campaign]
        for limit, text in figures.caps:
            most = most_in_window(impressions, parse_window(text), ZoneInfo(figures.timezone))
            if most > limit:
                yield f"{user} saw {campaign} {most} times, the cap is {limit} in {text}"


def most_in_window(impressions: Sequence[Impression], window: Window, zone: ZoneInfo) -> int:
    """The most impressions that certainly lay in one window.

    Each counts at its earliest, the window's end at its latest time: what was under way when a window
    moved on never looks like an overshoot.
    """
    if window.kind == "session":
        return max(Counter(each.session for each in impressions).values())
    most = 0
    for last in impressions:
        start_us = window_start(window, last.latest_us, zone)
        inside = [each for each in impressions if start_us <= each.earliest_us <= last.earliest_us]
        most = max(most, len(inside))
    return most
