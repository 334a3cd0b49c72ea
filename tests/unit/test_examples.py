"""The examples that `tayang up` loads: valid, described, and between them all that a campaign can say."""

import json
import re
from typing import Any, Final

from api.campaigns.model import CampaignIn
from api.campaigns.policy import PolicyIn
from tayang.examples import EXAMPLES

_ROW: Final = re.compile(r"^\| `([a-z0-9-]+)` \| (\w+) \|", re.MULTILINE)


def campaigns() -> dict[str, CampaignIn]:
    files = sorted((EXAMPLES / "campaigns").glob("*.json"))
    return {file.stem: CampaignIn.model_validate_json(file.read_text(encoding="utf-8")) for file in files}


def test_each_campaign_is_in_the_readme_with_its_placement() -> None:
    described = dict(_ROW.findall((EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert described == {key: campaign.placement for key, campaign in campaigns().items()}
    assert all(campaign.key == stem for stem, campaign in campaigns().items())


def test_every_field_has_a_campaign_that_shows_it() -> None:
    def said(campaign: CampaignIn) -> set[str]:
        fields = CampaignIn.model_fields
        return {name for name in fields if getattr(campaign, name) != fields[name].default}

    assert set(CampaignIn.model_fields) == set().union(*(said(each) for each in campaigns().values()))


def test_the_policy_is_valid_and_its_tags_are_those_of_the_campaigns() -> None:
    document: dict[str, Any] = json.loads((EXAMPLES / "policy.json").read_text(encoding="utf-8"))
    policy = PolicyIn.model_validate(document)
    assert policy.caps
    assert set(policy.tags) == {tag for campaign in campaigns().values() for tag in campaign.tags}
