"""What is the same of a campaign in every explanation, written once: some thousand are told at a time."""

from functools import cached_property
from json.encoder import encode_basestring as quoted

from api.campaigns.catalog import Catalog
from api.campaigns.conditions import condition_words
from api.campaigns.live import LiveCampaign
from api.campaigns.targeting import Part


class Written:
    """`head` is the beginning of its JSON."""

    def __init__(self, campaign: LiveCampaign) -> None:
        self.head = (
            f'{{"campaign":"{campaign.key}","id":{campaign.id},"status":"live",'
            f'"priority":{campaign.priority},"verdict":"'
        )
        self._targeting = campaign.targeting

    @cached_property
    def parts(self) -> dict[Part, tuple[str, str]]:
        """Of its targeting: as JSON, and in words that can stand inside a JSON string."""
        return {
            part: (part.node.model_dump_json(by_alias=True), quoted(condition_words(part.node))[1:-1])
            for part in self._targeting
        }


class Memory:
    """Of the campaigns of one catalog, and of those after it: bounded by what is live."""

    def __init__(self) -> None:
        self._catalog = Catalog()
        self._written: dict[LiveCampaign, Written] = {}

    def of(self, catalog: Catalog) -> dict[LiveCampaign, Written]:
        """All its campaigns."""
        if catalog is not self._catalog:
            known = self._written
            self._written = {each: known.get(each) or Written(each) for each in catalog.campaigns.values()}
            self._catalog = catalog
        return self._written
