"""What has to be done so that a service has what the files say: decided before anything is written."""

from dataclasses import dataclass, field
from typing import Any, Literal

from api.campaigns.model import CampaignIn
from api.campaigns.policy import PolicyIn
from tayang.as_code.catalog import Catalog
from tayang.as_code.documents import (
    FieldChange,
    campaign_document,
    field_changes,
    policy_document,
    stored_campaign,
    stored_policy,
)
from tayang.as_code.files import POLICY_FILE, Wanted

Action = Literal["create", "change", "archive"]
Outcome = Literal["planned", "done", "conflict", "refused"]


@dataclass
class Change:
    """`version` is the one that was read, and has to be there still when it is written."""

    kind: Literal["campaign", "policy"]
    key: str
    action: Action
    file: str | None = None
    fields: list[FieldChange] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    version: int = 0
    outcome: Outcome = "planned"
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "key": self.key,
            "action": self.action,
            "file": self.file,
            "fields": [change.as_dict() for change in self.fields],
            "outcome": self.outcome,
            "detail": self.detail,
        }


@dataclass
class Plan:
    changes: list[Change]
    unchanged: int


def plan_of(wanted: Wanted, catalog: Catalog, *, prune: bool) -> Plan:
    """The policy first, then campaigns in the order of the files, then what is archived."""
    found = [] if wanted.policy is None else [_policy(*wanted.policy, catalog.policy)]
    found += [
        _campaign(file, campaign, catalog.campaigns.get(key))
        for key, (file, campaign) in wanted.campaigns.items()
    ]
    changes = [change for change in found if change is not None]
    unchanged = len(found) - len(changes)
    if prune:
        changes += [
            Change("campaign", key, "archive", id=stored["id"], version=stored["version"])
            for key, stored in catalog.campaigns.items()
            if key not in wanted.campaigns and stored["status"] != "archived"
        ]
    return Plan(changes, unchanged)


def _policy(file: str, policy: PolicyIn, stored: dict[str, Any]) -> Change | None:
    fields = field_changes(stored_policy(stored) or _named(stored, PolicyIn), policy)
    if not fields:
        return None
    document = policy_document(policy)
    return Change("policy", POLICY_FILE, "change", file, fields, document, version=stored["version"])


def _campaign(file: str, campaign: CampaignIn, stored: dict[str, Any] | None) -> Change | None:
    document = campaign_document(campaign)
    if stored is None:
        return Change("campaign", campaign.key, "create", file, document=document)
    fields = field_changes(stored_campaign(stored) or _named(stored, CampaignIn), campaign)
    if not fields:
        return None
    return Change("campaign", campaign.key, "change", file, fields, document, stored["id"], stored["version"])


def _named(stored: dict[str, Any], model: type[CampaignIn | PolicyIn]) -> dict[str, Any]:
    """What can't be read is compared as it is."""
    return {name: stored.get(name) for name in model.model_fields}
