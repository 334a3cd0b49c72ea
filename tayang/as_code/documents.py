"""A campaign or policy as one canonical JSON text, and as what it is compared by."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from api.campaigns.model import CampaignIn
from api.campaigns.policy import PolicyIn

#: One that is written although it may be the default: nobody should have to know whether a file is live.
_ALWAYS: Final = "status"
_ABSENT: Final = object()


def campaign_document(campaign: CampaignIn) -> dict[str, Any]:
    """In the order of the model, without what is the default; instants by the campaign's clock."""
    written = campaign.model_dump(exclude_defaults=True) | {_ALWAYS: campaign.status}
    zone = ZoneInfo(campaign.timezone)
    return {name: _plain(written[name], zone) for name in CampaignIn.model_fields if name in written}


def policy_document(policy: PolicyIn) -> dict[str, Any]:
    written = policy.model_dump(exclude_defaults=True, include=set(PolicyIn.model_fields))
    return {name: _plain(value, UTC) for name, value in written.items()}


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def stored_campaign(document: dict[str, Any]) -> CampaignIn | None:
    """Of the service's answer; None if it was spoilt by hand, or is of a newer service."""
    try:
        return CampaignIn.model_validate(_own_fields(document, CampaignIn))
    except ValidationError:
        return None


def stored_policy(document: dict[str, Any]) -> PolicyIn | None:
    try:
        return PolicyIn.model_validate(_own_fields(document, PolicyIn))
    except ValidationError:
        return None


@dataclass(frozen=True)
class FieldChange:
    """One place that differs, such as `caps.0.limit`. What wasn't there, or isn't any more, is left out."""

    field: str
    before: Any = _ABSENT
    after: Any = _ABSENT

    def as_dict(self) -> dict[str, Any]:
        sides = {"before": self.before, "after": self.after}
        return {"field": self.field} | {name: value for name, value in sides.items() if value is not _ABSENT}

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} → {_shown(self.after)}"


def field_changes(before: BaseModel | dict[str, Any], after: BaseModel) -> list[FieldChange]:
    """Where they differ; an instant is the same in every zone."""
    return list(_differences("", _comparable(before), _comparable(after)))


def _own_fields(document: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name in model.model_fields}


def _comparable(model: BaseModel | dict[str, Any]) -> dict[str, Any]:
    values = model.model_dump() if isinstance(model, BaseModel) else model
    return {name: _plain(value, UTC) for name, value in values.items()}


def _plain(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _differences(_inner(path, name), before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            yield from _differences(_inner(path, str(place)), _item(before, place), _item(after, place))
    elif before is _ABSENT or after is _ABSENT or json.dumps(before) != json.dumps(after):
        yield FieldChange(path, before, after)


def _inner(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _item(values: list[Any], place: int) -> Any:
    return values[place] if place < len(values) else _ABSENT


_SHOWN_CHARACTERS: Final = 100


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
