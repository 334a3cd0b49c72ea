"""The answer as JSON. It is put together as text: 5,000 campaigns have some milliseconds."""

from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring as quoted
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from api.campaigns.asked import Asked
from api.campaigns.budget import Stock
from api.campaigns.catalog import Context
from api.campaigns.conditions import given_words
from api.campaigns.explanation import Verdict
from api.campaigns.history import Seen
from api.campaigns.live import LiveCampaign
from api.campaigns.rules import (
    ENDED,
    GLOBALLY_HELD_OUT,
    HELD_OUT,
    NOT_LIVE,
    OTHER_PLACEMENT,
    OUT_OF_BUDGET,
    TARGETING,
    Refusal,
    last_shown_us,
)
from api.campaigns.words import Ranked, mismatch, precedence, sentence
from api.explain.accounts import Accounts
from api.explain.memory import Written
from api.explain.moments import again, iso, local
from api.explain.reading import Other

SHOWN: Final = "shown"
#: Whoever gets these would else be shown the campaign, in some variant.
_WOULD_SEE: Final = (SHOWN, HELD_OUT, GLOBALLY_HELD_OUT)


class Document:
    """The campaigns of one answer.

    `written` are all live campaigns. `accounts`: of hard budgets; `leases`: this process serves popups, and
    judges hard budgets by its own units.
    """

    def __init__(
        self,
        asked: Asked,
        context: Context,
        verdicts: Sequence[Verdict],
        written: Mapping[LiveCampaign, Written],
        accounts: Accounts,
        *,
        leases: bool,
    ) -> None:
        self._asked = asked
        self._context = context
        self._written = written
        self._accounts = accounts
        self._leases = leases
        self._ranked = [verdict for verdict in verdicts if verdict.rank is not None]
        self._remembered: dict[int | tuple[int, ZoneInfo], str] = {}
        self._given: dict[tuple[str, ...], tuple[str, str]] = {}

    def campaigns(self, verdicts: Iterable[Verdict], *, variants: bool) -> list[str]:
        """Live ones; `variants`: tell what the user would see also where nothing is shown."""
        written, said = self._written, self._said
        told = []
        for verdict in verdicts:
            campaign, seen, failing, rank, order, _ = verdict
            again_from = variant = "null"
            code = SHOWN
            if failing:
                first = failing[0]
                code = first.code
                if first.until_us is not None:
                    again_from = self._again(verdict)
                reasons = said(first, verdict) if len(failing) == 1 else self._reasons(verdict)
            else:
                reasons = ""
            if variants or code in _WOULD_SEE:
                variant = f'"{campaign.variant_for(self._asked.user).key.decode()}"'
            counts = "null" if seen is None else self._counts(seen, campaign)
            place = "null" if order is None else self._place(verdict)
            told.append(
                f'{written[campaign].head}{code}","rank":{rank or "null"},"variant":{variant},'
                f'"counts":{counts},"reasons":[{reasons}],"again_from":{again_from},"order":{place}}}'
            )
        return told

    def other(self, other: Other) -> str:
        """One that is not live."""
        failing = [Refusal(NOT_LIVE, {"status": other.status})]
        if other.placement != self._context.placement:
            asked_for = {"placement": other.placement, "asked": self._context.placement}
            failing.append(Refusal(OTHER_PLACEMENT, asked_for))
        seen = self._asked.history.of(other.id)
        reasons = ",".join(_reason(each.code, each.detail, "null", sentence(each, None)) for each in failing)
        return (
            f'{{"campaign":{quoted(other.key)},"id":{other.id},"status":"{other.status}","priority":{other.priority},'
            f'"verdict":"{NOT_LIVE}","rank":null,"variant":null,'
            f'"counts":{"null" if seen is None else _counts(seen, ghosts=False)},'
            f'"reasons":[{reasons}],"again_from":null,"order":null}}'
        )

    def _place(self, verdict: Verdict) -> str:
        """In the order; with the reason if it is shown."""
        why = "null" if verdict.refusals else quoted(self._why(verdict))
        return (
            f'{{"priority":{verdict.campaign.priority},"last_shown_at":{_last_shown(verdict.seen)},'
            f'"tie_break":"{verdict.order:016x}","why":{why}}}'
        )

    def _why(self, first: Verdict) -> str:
        zone = first.campaign.zone
        after = (
            self._ranked[first.rank] if first.rank is not None and first.rank < len(self._ranked) else None
        )
        return precedence(_standing(first, zone), None if after is None else _standing(after, zone))

    def _again(self, verdict: Verdict) -> str:
        again_us = verdict.again_us(self._asked)
        return "null" if again_us is None else again(again_us, verdict.campaign.zone)

    def _counts(self, seen: Seen, campaign: LiveCampaign) -> str:
        return _counts(seen, ghosts=self._asked.counted_as(campaign) < 0)

    def _reasons(self, verdict: Verdict) -> str:
        return ",".join([self._said(refusal, verdict) for refusal in verdict.refusals])

    def _said(self, refusal: Refusal, verdict: Verdict) -> str:
        """Remembered, since many campaigns may share one: of the policy, for example."""
        if refusal.code == TARGETING:
            return self._mismatch(verdict)
        key = id(refusal) if refusal.until_us is None else (id(refusal), verdict.campaign.zone)
        said = self._remembered.get(key)
        if said is None:
            said = self._remembered[key] = self._reason(refusal, verdict)
        return said

    def _reason(self, refusal: Refusal, verdict: Verdict) -> str:
        campaign = verdict.campaign
        code, detail, until_us = refusal
        if code == ENDED:
            detail = {"ended_at": iso(campaign.ends_us)}
            text = sentence(refusal, local(campaign.ends_us, campaign.zone))
            return _reason(code, detail, "null", text)
        if code == OUT_OF_BUDGET:
            refusal = Refusal(code, detail := self._spent(campaign, detail), until_us)
        until = None if until_us is None else local(until_us, campaign.zone)
        ghosts = self._asked.counted_as(campaign) < 0
        end = "null" if until_us is None else again(until_us, campaign.zone)
        return _reason(code, detail, end, sentence(refusal, until, ghosts=ghosts))

    def _spent(self, campaign: LiveCampaign, detail: dict[str, Any]) -> dict[str, Any]:
        """Whose figures these are, and for a hard budget the account's."""
        budget = campaign.budget
        if budget is None or not isinstance(budget, Stock):
            return {**detail, "source": "counts"}
        account = self._accounts.get(budget)
        source = "leases" if self._leases else "account"
        if account is None:
            return {**detail, "source": source}
        return {**detail, **account.figures, "source": source}

    def _mismatch(self, verdict: Verdict) -> str:
        parts = self._written[verdict.campaign].parts
        if len(verdict.unmet) == 1:
            (part,) = verdict.unmet
            conditions, needs = parts[part]
            names = part.attributes
        else:
            conditions = ",".join([parts[part][0] for part in verdict.unmet])
            needs = " and ".join([parts[part][1] for part in verdict.unmet])
            names = tuple(sorted({name for part in verdict.unmet for name in part.attributes}))
        given, said = self._given.get(names) or self._say(names)
        return (
            f'{{"code":"{TARGETING}","detail":{{"conditions":[{conditions}],"given":{given}}},'
            f'"again_from":null,"text":"{mismatch(needs, said)}"}}'
        )

    def _say(self, names: tuple[str, ...]) -> tuple[str, str]:
        """What the request says of these attributes, as JSON and in words inside a JSON string."""
        given = {name: self._context.attributes.get(name) for name in names}
        told = self._given[names] = to_json(given).decode(), quoted(given_words(given))[1:-1]
        return told


def _reason(code: str, detail: dict[str, Any], end: str, text: str) -> str:
    written = to_json(detail).decode() if detail else "{}"
    return f'{{"code":"{code}","detail":{written},"again_from":{end},"text":{quoted(text)}}}'


def _counts(seen: Seen, *, ghosts: bool) -> str:
    clicks, dismissals, conversions = seen.interactions
    return (
        f'{{"impressions":{seen.total},"clicks":{clicks},"dismissals":{dismissals},'
        f'"conversions":{conversions},"last_shown_at":{_last_shown(seen)},'
        f'"ghosts":{"true" if ghosts else "false"}}}'
    )


def _last_shown(seen: Seen | None) -> str:
    return f'"{iso(seen.recent_us[0])}"' if seen is not None and seen.recent_us else "null"


def _standing(verdict: Verdict, zone: ZoneInfo) -> Ranked:
    campaign, seen = verdict.campaign, verdict.seen
    shown_us = last_shown_us(seen)
    shown = local(shown_us, zone) if seen is not None and seen.recent_us else None
    return Ranked(campaign.key, campaign.priority, shown_us, shown)
