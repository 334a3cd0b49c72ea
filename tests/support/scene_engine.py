"""Plays the scenes of docs/campaigns.md: the engine decides, and what it did is held against the document."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Final

from api.campaigns.asked import Asked
from api.campaigns.budget import Lease, SoftBudget, Stock
from api.campaigns.catalog import Catalog, Context
from api.campaigns.experiments import hash_of
from api.campaigns.explanation import Verdict, explain
from api.campaigns.history import CLICK, CONVERT, DISMISS, History
from api.campaigns.model import Campaign
from api.campaigns.policy import Policy
from api.campaigns.rules import (
    GLOBALLY_HELD_OUT,
    HELD_OUT,
    NOT_LIVE,
    POLICY_CAPPED,
    POLICY_GAP,
    TAG_CAPPED,
    TAG_GAP,
)
from api.campaigns.selection import choose
from api.campaigns.windows import local_time, to_us
from api.http.context import parse_context
from tests.support.campaigns import document
from tests.support.engine import catalog_of
from tests.support.scenes import Claim, Row, Scene

#: When a request comes that names no time.
ANY_TIME: Final = datetime(2026, 11, 4, 12, tzinfo=UTC)

_USERS: Final = 100_000
_OF_ALL_CAMPAIGNS: Final = (POLICY_CAPPED, POLICY_GAP, TAG_CAPPED, TAG_GAP)
_KINDS: Final = {"clicked": CLICK, "dismissed": DISMISS, "converted": CONVERT}


class Played:
    """One row: its campaigns are compiled anew, so rows don't touch each other."""

    def __init__(self, scene: Scene, row: Row, user_prefix: str = "user-") -> None:
        self._scene = scene
        self._row = row
        self._ids = {each["key"]: number for number, each in enumerate(scene.campaigns, start=1)}
        self._now_us = to_us(row.now or ANY_TIME)
        self.catalog = _catalog(scene)
        self._stock_up()
        self.user = user_for(self.catalog, row.held_out_of, user_prefix)

    def wrong(self) -> Iterator[str]:
        """What the document says and the engine doesn't do."""
        if self._row.test_user:
            self.catalog.test_users = frozenset((self.user,))
        verdicts = self._verdicts(self._now_us)
        choice = choose(self.catalog.matching(self._context), self._asked(self._now_us))
        shown = [campaign.key for campaign, _ in choice.shown]
        if shown != [key for key, verdict in verdicts.items() if verdict.code is None]:
            yield f"shown are {shown}, and the explanation differs"
        ghosts = {campaign.key for campaign, _ in choice.ghosts}
        if ghosts != {key for key, each in verdicts.items() if each.code in (HELD_OUT, GLOBALLY_HELD_OUT)}:
            yield f"ghosts are {ghosts}, and the explanation differs"
        for key, claim in self._row.claims.items():
            for problem in self._wrong_of(key, claim, shown, verdicts.get(key)):
                yield f"line {self._row.line}, {key}: {problem}"

    def _wrong_of(self, key: str, claim: Claim, shown: list[str], verdict: Verdict | None) -> Iterator[str]:
        # Campaigns that are not live are in no catalog.
        code = NOT_LIVE if verdict is None else verdict.code
        if code != claim.code:
            yield f"the answer is {code or 'shown'}"
            return
        if claim.rank is not None and shown.index(key) + 1 != claim.rank:
            yield f"it comes as number {shown.index(key) + 1}"
        others = {each.code for each in verdict.refusals} - {code} if verdict is not None else set()
        if claim.also is not None and others != claim.also:
            yield f"other rules that fail: {others}"
        if verdict is None:
            return
        if claim.until is not None and not self._ends(key, claim, verdict):
            yield f"again from {self._told(verdict)}"
        if claim.for_good and self._again_us(verdict) is not None:
            yield f"not for good: again from {self._told(verdict)}"

    def _ends(self, key: str, claim: Claim, verdict: Verdict) -> bool:
        """Whether nothing is in its way from then on, and something is a microsecond before."""
        assert claim.until is not None
        again_us = self._again_us(verdict)
        # Paces tell it to the microsecond, the document to the second.
        if again_us is None or again_us // 1_000_000 != to_us(claim.until) // 1_000_000:
            return False
        before, then = (
            {each.code for each in self._verdicts(time_us)[key].refusals}
            for time_us in (again_us - 1, again_us)
        )
        # What is ahead of it in the answer may fill the policy's limits again.
        return bool(before) and then.issubset(_OF_ALL_CAMPAIGNS)

    def _again_us(self, verdict: Verdict) -> int | None:
        return verdict.again_us(self._asked(self._now_us))

    def _told(self, verdict: Verdict) -> str:
        again_us = self._again_us(verdict)
        return "an unknown time" if again_us is None else str(local_time(again_us, verdict.campaign.zone))

    def _verdicts(self, now_us: int) -> dict[str, Verdict]:
        verdicts = explain(self.catalog, self._context, self._asked(now_us))
        return {verdict.campaign.key: verdict for verdict in verdicts}

    @property
    def _context(self) -> Context:
        return parse_context(full_query(self._scene, self._row))

    def _asked(self, now_us: int) -> Asked:
        return Asked(
            self._history(),
            user=self.user.encode(),
            now_us=now_us,
            limit=self._context.limit,
            zone=self._context.zone,
            session=_session(session_of(self._row)),
            policy=self.catalog.policy,
            test=self.user in self.catalog.test_users,
        )

    def _history(self) -> History:
        row = self._row
        history = History({}, self._ids.values() if row.listed else ())
        for ago, event in enumerate(reversed(row.before), start=1):
            at_us = self._now_us - ago * 1_000_000 if event.at is None else to_us(event.at)
            campaign_id = self._ids[event.campaign]
            if event.kind in _KINDS:
                history.interact(campaign_id, _KINDS[event.kind], at_us)
            else:
                side = -campaign_id if event.kind == "ghost" else campaign_id
                history.count(side, at_us, _session(event.session))
        return history

    def _stock_up(self) -> None:
        today, in_all = self._row.delivered
        for campaign in self.catalog.campaigns.values():
            if isinstance(campaign.budget, SoftBudget):
                by_day = {local_time(self._now_us, campaign.zone).date(): today}
                campaign.budget.update(total=in_all, by_day=by_day, watermark=0)
            elif isinstance(campaign.budget, Stock):
                assert campaign.document.budget is not None
                limits = campaign.document.budget
                left = [
                    limit - used
                    for limit, used in ((limits.total, in_all), (limits.per_day, today))
                    if limit is not None
                ]
                if min(left) > 0:
                    campaign.budget.add(Lease(1, min(left), campaign.budget.day_at(self._now_us)))


def user_for(catalog: Catalog, held_out_of: Collection[str], prefix: str) -> str:
    """The first user whom the draws hold out of these campaigns ("": of all), and of no other."""
    draws = {campaign.key: campaign.holdout for campaign in catalog.campaigns.values()}
    draws[""] = catalog.policy.holdout
    for number in range(_USERS):
        user = f"{prefix}{number}"
        hashed = hash_of(user.encode())
        if {key for key, draw in draws.items() if draw and draw.holds_out(hashed)} == set(held_out_of):
            return user
    raise AssertionError(f"no user is held out of {held_out_of}: has the example such a holdout?")


def full_query(scene: Scene, row: Row) -> str:
    """The row's, with the first campaign's placement unless it names one."""
    if "placement=" in row.request:
        return row.request
    return f"placement={scene.campaigns[0]['placement']}&{row.request}".rstrip("&")


def session_of(row: Row) -> str:
    return dict(each.split("=", 1) for each in row.request.split("&") if each).get("session", "")


def _session(name: str) -> int:
    return hash_of(name.encode()) >> 33 if name else 0


def _catalog(scene: Scene) -> Catalog:
    campaigns = [
        Campaign.model_validate(document(number, **fields))
        for number, fields in enumerate(scene.campaigns, start=1)
    ]
    live = [each for each in campaigns if each.status == "live"]
    policy = Policy.model_validate({"version": 1, **(scene.policy or {})})
    return catalog_of(
        live,
        policy=policy,
        tags={each.id: each.tags for each in campaigns},
        uncounted=[each.id for each in campaigns if not each.counts_for_policy],
        exempt=[each.id for each in campaigns if each.exempt],
    )
