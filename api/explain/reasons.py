"""The reasons of one answer as JSON, with what they counted, when they end, and a sentence."""

from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from api.campaigns.asked import Asked
from api.campaigns.budget import Stock
from api.campaigns.catalog import Context
from api.campaigns.conditions import given_words
from api.campaigns.explanation import Verdict
from api.campaigns.live import LiveCampaign
from api.campaigns.rules import ENDED, OUT_OF_BUDGET, TARGETING, Refusal
from api.campaigns.words import mismatch, sentence
from api.explain.accounts import Accounts
from api.explain.memory import Condition, Written
from api.explain.moments import again, iso, local

#: Statuses and placements, of campaigns that are not live.
_REMEMBERED_MAX: Final = 1024


class Reasons:
    """Remembers what it has told: thousands of campaigns may share a reason, of the policy for example.

    `written` are all live campaigns. `accounts`: of hard budgets; `leases`: this process serves popups, and
    judges hard budgets by its own units.
    """

    def __init__(
        self,
        asked: Asked,
        context: Context,
        written: Mapping[LiveCampaign, Written],
        accounts: Accounts,
        *,
        leases: bool,
    ) -> None:
        self._asked = asked
        self._attributes = context.attributes
        self._written = written
        self._accounts = accounts
        self._leases = leases
        self._told: dict[int | tuple[int, ZoneInfo], str] = {}
        self._mismatches: dict[int, str] = {}

    def of(self, verdict: Verdict) -> str:
        """All, in their order."""
        return ",".join([self.told(refusal, verdict) for refusal in verdict.refusals])

    def told(self, refusal: Refusal, verdict: Verdict) -> str:
        if refusal.code == TARGETING:
            conditions = self._written[verdict.campaign].conditions
            return self._mismatches.get(id(conditions)) or self._mismatch(conditions)
        key = id(refusal) if refusal.until_us is None else (id(refusal), verdict.campaign.zone)
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = self._new(refusal, verdict.campaign)
        return told

    def _new(self, refusal: Refusal, campaign: LiveCampaign) -> str:
        code, detail, until_us = refusal
        if code == ENDED:
            text = sentence(refusal, local(campaign.ends_us, campaign.zone))
            return _reason(code, {"ended_at": iso(campaign.ends_us)}, "null", text)
        if code == OUT_OF_BUDGET:
            refusal = Refusal(code, detail := self._spent(campaign, detail), until_us)
        until = None if until_us is None else local(until_us, campaign.zone)
        end = "null" if until_us is None else again(until_us, campaign.zone)
        ghosts = self._asked.counted_as(campaign) < 0
        return _reason(code, detail, end, sentence(refusal, until, ghosts=ghosts))

    def _spent(self, campaign: LiveCampaign, detail: dict[str, Any]) -> dict[str, Any]:
        """Whose figures these are, and for a hard budget the account's."""
        budget = campaign.budget
        if budget is None or not isinstance(budget, Stock):
            return {**detail, "source": "counts"}
        account = self._accounts.get(budget)
        figures = {} if account is None else account.figures
        return {**detail, **figures, "source": "leases" if self._leases else "account"}

    def _mismatch(self, conditions: tuple[Condition, ...]) -> str:
        unmet = [each for each in conditions if not each.part.matches(self._attributes)]
        names = sorted({name for each in unmet for name in each.part.attributes})
        given = {name: self._attributes.get(name) for name in names}
        needs = " and ".join([each.words for each in unmet])
        said = quoted(given_words(given))[1:-1]
        told = self._mismatches[id(conditions)] = (
            f'{{"code":"{TARGETING}","detail":{{"conditions":[{",".join([each.json for each in unmet])}],'
            f'"given":{to_json(given).decode()}}},"again_from":null,"text":"{mismatch(needs, said)}"}}'
        )
        return told


@lru_cache(maxsize=_REMEMBERED_MAX)
def reason_alone(code: str, **detail: str) -> str:
    """One that does not depend on the user."""
    return _reason(code, detail, "null", sentence(Refusal(code, detail), None))


def _reason(code: str, detail: Mapping[str, Any], end: str, text: str) -> str:
    written = to_json(detail).decode() if detail else "{}"
    return f'{{"code":"{code}","detail":{written},"again_from":{end},"text":{quoted(text)}}}'
