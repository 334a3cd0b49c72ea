"""The engine, asked with a case's documents: the same catalog for all steps of a case, as in a process."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.campaigns.asked import Asked
from api.campaigns.budget import Lease, SoftBudget, Stock
from api.campaigns.catalog import Catalog, Context, Stored
from api.campaigns.experiments import hash_of, holdout, order_of
from api.campaigns.explanation import Verdict, explain
from api.campaigns.history import CLICK, CONVERT, DISMISS, History, Seen
from api.campaigns.live import LiveCampaign
from api.campaigns.model import Campaign
from api.campaigns.policy import Policy
from api.campaigns.selection import choose
from api.http.context import zone_of
from tests.oracle.cases import Case
from tests.oracle.documents import Document, Event, events_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STORED: Final = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
_KEPT: Final = 64
_LIVE: Final = ("live",)
_INTERACTIONS: Final = {"click": CLICK, "dismiss": DISMISS, "convert": CONVERT, "ghost_convert": CONVERT}
#: Of a campaign that had another budget before.
_UNKNOWN: Final = {"units": 1, "total": 0, "today": 0}
_SESSIONS: Final = {None: 0, "s1": 11, "s2": -22}


class EngineDraws:
    """The engine's hashes, which the oracle takes as given."""

    def order(self, user: str, campaign: Document) -> int:
        return order_of(hash_of(user.encode()), hash_of(campaign["key"].encode()))

    def held_out(self, user: str, campaign: Document) -> bool:
        return _draws(campaign["key"], campaign["holdout_percent"], user)

    def globally_held_out(self, user: str, percent: float) -> bool:
        return _draws("policy\0", percent, user)


@dataclass
class Outcome:
    """Ids in the order of the answer; `reasons` why campaigns were not shown, as the engine counts them.

    As it explains: `ranking`, and for each live campaign the rules that fail with their `until`, and from
    when on it may be shown again.
    """

    chosen: list[int]
    ghosts: list[int]
    reasons: dict[int, str]
    ranking: list[int]
    explained: dict[int, list[tuple[str, datetime | None]]]
    again: dict[int, datetime | None]


class Engine:
    """`play` a case's steps in turn."""

    def __init__(self, case: Case) -> None:
        catalog = Catalog()
        self.catalog = catalog.replaced_by(_stored(catalog, case, case["before"]))
        if case["before"]:
            self.play(case["steps"][0])  # what it remembers of the campaigns before must not show
        self.catalog = self.catalog.replaced_by(_stored(self.catalog, case, case["campaigns"]))
        self.catalog.tallies.take()

    def play(self, step: Case) -> Outcome:
        now_us = _us(datetime.fromisoformat(step["now"]))
        for campaign in self.catalog.budgeted:
            _spend(campaign, {**_UNKNOWN, **step["spent"].get(str(campaign.id), {})}, now_us)
        asked = _asked(self.catalog, step)
        request = step["request"]
        context = Context(request["placement"], request["attributes"], request["limit"], asked.zone)
        choice = choose(self.catalog.matching(context), asked)
        reasons = {number: code for (number, code), count in self.catalog.tallies.take().items() if count}
        verdicts = explain(self.catalog, context, asked)
        return Outcome(
            _ids(choice.shown),
            _ids(choice.ghosts),
            reasons,
            [verdict.campaign.id for verdict in verdicts if verdict.rank is not None],
            {verdict.campaign.id: _told(verdict) for verdict in verdicts},
            {verdict.campaign.id: _moment(verdict.again_us(asked)) for verdict in verdicts},
        )


def _stored(catalog: Catalog, case: Case, documents: Sequence[Document]) -> Stored:
    """What a database with these documents tells a process that has this catalog."""
    version = catalog.version + 1
    live = [campaign for campaign in documents if campaign["status"] in _LIVE]
    known = [campaign for campaign in case["before"] if campaign["id"] in catalog.campaigns]
    changed = [
        Campaign.model_validate_json(json.dumps({**campaign, **_STORED, "version": version}))
        for campaign in live
        if campaign not in known
    ]
    return Stored(
        version=version,
        live=[campaign["id"] for campaign in live],
        changed=[catalog.compiled(campaign) for campaign in changed],
        policy=Policy.model_validate_json(json.dumps(case["policy"] | {"version": 1})),
        tags={campaign["id"]: campaign["tags"] for campaign in documents},
        uncounted=[campaign["id"] for campaign in documents if not campaign["counts_for_policy"]],
        exempt=[campaign["id"] for campaign in documents if campaign["exempt"]],
    )


def _asked(catalog: Catalog, step: Case) -> Asked:
    request = step["request"]
    return Asked(
        History(seen_of(events_of(step["events"])), step["listed"]),
        user=request["user"].encode(),
        now_us=_us(datetime.fromisoformat(step["now"])),
        limit=request["limit"],
        zone=None if request["tz"] is None else zone_of(request["tz"]),
        session=_SESSIONS[request["session"]],
        policy=catalog.policy,
        test=request["test"],
    )


def seen_of(events: Iterable[Event]) -> dict[int, Seen]:
    """The rows that merging the events leaves, by campaign id, ghosts under the negative one."""
    rows: dict[int, Seen] = {}
    for event in sorted(events, key=lambda event: event.at, reverse=True):
        number = -event.campaign if event.kind.startswith("ghost") else event.campaign
        seen = rows.setdefault(number, Seen())
        if event.kind in ("impression", "ghost"):
            seen.total += event.times
            kept = min(event.times, _KEPT - len(seen.recent_us))
            seen.recent_us += [_us(event.at)] * kept
            seen.sessions += [_SESSIONS[event.session]] * kept
        elif event.kind in _INTERACTIONS:
            seen.interact(_INTERACTIONS[event.kind], _us(event.at))
    for seen in rows.values():
        if not any(seen.sessions):
            seen.sessions = []
    return rows


def _spend(campaign: LiveCampaign, spent: dict[str, int], now_us: int) -> None:
    budget = campaign.budget
    if isinstance(budget, Stock):
        budget.leases.clear()
        if spent["units"]:
            budget.add(Lease(1, spent["units"], budget.day_at(now_us)))
    elif isinstance(budget, SoftBudget):
        today = (_EPOCH + timedelta(microseconds=now_us)).astimezone(campaign.zone).date()
        budget.update(total=spent["total"], by_day={today: spent["today"]}, watermark=0)


def _draws(name: str, percent: float, user: str) -> bool:
    draw = holdout(name, percent)
    return draw is not None and draw.holds_out(hash_of(user.encode()))


def _ids(eligible: Iterable[tuple[LiveCampaign, Any]]) -> list[int]:
    return [campaign.id for campaign, _ in eligible]


def _told(verdict: Verdict) -> list[tuple[str, datetime | None]]:
    return [(each.code, _moment(each.until_us)) for each in verdict.refusals]


def _moment(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(microseconds=us)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
