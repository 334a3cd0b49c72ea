"""The campaigns of an answer as JSON. It is put together as text: for 5,000 there are some milliseconds."""

from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring as quoted
from typing import Final
from zoneinfo import ZoneInfo

from api.campaigns.asked import Asked
from api.campaigns.explanation import Verdict
from api.campaigns.history import Seen
from api.campaigns.live import LiveCampaign
from api.campaigns.rules import GLOBALLY_HELD_OUT, HELD_OUT, NOT_LIVE, OTHER_PLACEMENT, last_shown_us
from api.campaigns.words import Ranked, precedence
from api.explain.memory import Written
from api.explain.moments import again, iso, local
from api.explain.reading import Other
from api.explain.reasons import Reasons, reason_alone

SHOWN: Final = "shown"
#: Whoever gets these would else be shown the campaign, in some variant.
_WOULD_SEE: Final = (SHOWN, HELD_OUT, GLOBALLY_HELD_OUT)


class Document:
    """Of these `verdicts`, all of one answer; `written` are all live campaigns."""

    def __init__(
        self,
        asked: Asked,
        verdicts: Sequence[Verdict],
        written: Mapping[LiveCampaign, Written],
        reasons: Reasons,
    ) -> None:
        self._asked = asked
        self._ranked = [verdict for verdict in verdicts if verdict.rank is not None]
        self._written = written
        self._reasons = reasons

    def campaigns(self, verdicts: Iterable[Verdict], *, variants: bool) -> list[str]:
        """Live ones; `variants`: tell what the user would see also where nothing is shown."""
        written, told = self._written, self._reasons.told
        campaigns = []
        for verdict in verdicts:
            campaign, seen, failing, rank, order = verdict
            code, reasons, again_from, variant = SHOWN, "", "null", "null"
            if failing:
                first = failing[0]
                code = first.code
                if first.until_us is not None:
                    again_from = self._again(verdict)
                reasons = told(first, verdict) if len(failing) == 1 else self._reasons.of(verdict)
            if variants or code in _WOULD_SEE:
                variant = f'"{campaign.variant_for(self._asked.user).key.decode()}"'
            counts = "null" if seen is None else self._counts(seen, campaign)
            if order is None:
                place = "null"
            else:
                why = "null" if failing else quoted(self._why(verdict))
                place = (
                    f'{{"priority":{campaign.priority},"last_shown_at":{_last_shown(seen)},'
                    f'"tie_break":"{order:016x}","why":{why}}}'
                )
            campaigns.append(
                f'{written[campaign].head}{code}","rank":{rank or "null"},"variant":{variant},'
                f'"counts":{counts},"reasons":[{reasons}],"again_from":{again_from},"order":{place}}}'
            )
        return campaigns

    def others(self, others: Iterable[Other], placement: str) -> list[str]:
        """Those that are not live."""
        return [self._other(other, placement) for other in others]

    def _other(self, other: Other, placement: str) -> str:
        reasons = reason_alone(NOT_LIVE, status=other.status)
        if other.placement != placement:
            reasons += "," + reason_alone(OTHER_PLACEMENT, placement=other.placement, asked=placement)
        seen = self._asked.history.of(other.id)
        counts = "null" if seen is None else _counts(seen, ghosts=False)
        return (
            f'{{"campaign":{quoted(other.key)},"id":{other.id},"status":"{other.status}",'
            f'"priority":{other.priority},"verdict":"{NOT_LIVE}","rank":null,"variant":null,'
            f'"counts":{counts},"reasons":[{reasons}],"again_from":null,"order":null}}'
        )

    def _why(self, first: Verdict) -> str:
        assert first.rank is not None
        zone = first.campaign.zone
        after = self._ranked[first.rank] if first.rank < len(self._ranked) else None
        return precedence(_standing(first, zone), None if after is None else _standing(after, zone))

    def _again(self, verdict: Verdict) -> str:
        again_us = verdict.again_us(self._asked)
        return "null" if again_us is None else again(again_us, verdict.campaign.zone)

    def _counts(self, seen: Seen, campaign: LiveCampaign) -> str:
        return _counts(seen, ghosts=self._asked.counted_as(campaign) < 0)


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
