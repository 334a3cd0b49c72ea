"""What is the same of a campaign in every explanation, written once: some thousand are told at a time."""

from collections.abc import Mapping
from json.encoder import encode_basestring as quoted
from typing import NamedTuple

from api.campaigns.catalog import Catalog
from api.campaigns.conditions import condition_words
from api.campaigns.live import LiveCampaign
from api.campaigns.targeting import Part


class Condition(NamedTuple):
    """A part of a targeting: as JSON, and in words that can stand inside a JSON string."""

    part: Part
    json: str
    words: str


class Written(NamedTuple):
    """`head` is the beginning of a campaign's JSON. Campaigns with the same targeting share `conditions`."""

    head: str
    conditions: tuple[Condition, ...]


class Memory:
    """Of the campaigns of one catalog, kept for those of the next: bounded by what is live."""

    def __init__(self) -> None:
        self._catalog = Catalog()
        self._written: dict[LiveCampaign, Written] = {}

    def of(self, catalog: Catalog) -> Mapping[LiveCampaign, Written]:
        """All its campaigns."""
        if catalog is not self._catalog:
            known = self._written
            shared = {written.conditions: written.conditions for written in known.values()}
            by_text = {tuple(each.json for each in conditions): conditions for conditions in shared}
            self._written = {
                campaign: known.get(campaign) or _written(campaign, by_text)
                for campaign in catalog.campaigns.values()
            }
            self._catalog = catalog
        return self._written


def _written(campaign: LiveCampaign, by_text: dict[tuple[str, ...], tuple[Condition, ...]]) -> Written:
    head = (
        f'{{"campaign":"{campaign.key}","id":{campaign.id},"status":"live",'
        f'"priority":{campaign.priority},"verdict":"'
    )
    texts = tuple(part.node.model_dump_json(by_alias=True) for part in campaign.targeting)
    conditions = by_text.get(texts)
    if conditions is None:
        conditions = by_text[texts] = tuple(
            Condition(part, text, quoted(condition_words(part.node))[1:-1])
            for part, text in zip(campaign.targeting, texts, strict=True)
        )
    return Written(head, conditions)
