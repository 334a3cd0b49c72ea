"""A smaller case that still disagrees: what can be dropped is dropped, what can be reset is reset."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.oracle.cases import Case

#: What a campaign, a policy and a request are like when nothing is said.
CAMPAIGN: Final[dict[str, Any]] = {
    "status": "live",
    "priority": 10,
    "placement": "home",
    "starts_at": None,
    "ends_at": None,
    "timezone": "UTC",
    "schedule": [],
    "schedule_timezone": "campaign",
    "audience": "everyone",
    "targeting": None,
    "caps": [],
    "cooldown": None,
    "stop_after": None,
    "tags": [],
    "exempt": False,
    "counts_for_policy": True,
    "budget": None,
    "holdout_percent": 0.0,
}
_POLICY: Final[dict[str, Any]] = {
    "caps": [],
    "min_gap": None,
    "timezone": "UTC",
    "tags": {},
    "holdout_percent": 0.0,
}
_REQUEST: Final[dict[str, Any]] = {"attributes": {}, "limit": 20, "session": None, "tz": None, "test": False}


def shrunk(case: Case, fails: Callable[[Case], bool], tries_max: int = 5_000) -> Case:
    """`fails` tells whether a case still disagrees; it is asked at most so often."""
    tries = 0
    progress = True
    while progress:
        progress = False
        for each in smaller(case):
            tries += 1
            if tries > tries_max:
                return case
            if fails(each):
                case, progress = each, True
                break
    return case


def smaller(case: Case) -> Iterator[Case]:
    """One change each; the case itself is left as it is."""
    if case["before"]:
        yield {**case, "before": []}
    for place in range(len(case["before"])):
        yield {**case, "before": _without(case["before"], place)}
    for place in range(len(case["steps"]) if len(case["steps"]) > 1 else 0):
        yield {**case, "steps": _without(case["steps"], place)}
    for place in range(len(case["campaigns"]) if len(case["campaigns"]) > 1 else 0):
        yield _without_campaign(case, place)
    for place, step in enumerate(case["steps"]):
        for changes in _step_changes(step):
            yield _with_step(case, place, **changes)
    for policy in [*_resets(case["policy"], _POLICY), *_parts_dropped(case["policy"])]:
        yield {**case, "policy": policy}
    for place, campaign in enumerate(case["campaigns"]):
        for simpler in [*_resets(campaign, CAMPAIGN), *_parts_dropped(campaign)]:
            yield {**case, "campaigns": _replaced(case["campaigns"], place, simpler)}


def _step_changes(step: Case) -> Iterator[dict[str, Any]]:
    for at in range(len(step["events"])):
        yield {"events": _without(step["events"], at)}
    for request in _resets(step["request"], _REQUEST):
        yield {"request": request}
    for name in step["request"]["attributes"]:
        attributes = {key: text for key, text in step["request"]["attributes"].items() if key != name}
        yield {"request": {**step["request"], "attributes": attributes}}


def _without_campaign(case: Case, place: int) -> Case:
    number = case["campaigns"][place]["id"]
    steps = [
        {
            **step,
            "events": [event for event in step["events"] if event["campaign"] != number],
            "listed": [each for each in step["listed"] if each != number],
            "spent": {each: spent for each, spent in step["spent"].items() if each != str(number)},
        }
        for step in case["steps"]
    ]
    before = [campaign for campaign in case["before"] if campaign["id"] != number]
    return {**case, "before": before, "campaigns": _without(case["campaigns"], place), "steps": steps}


def _with_step(case: Case, place: int, **changes: Any) -> Case:
    return {**case, "steps": _replaced(case["steps"], place, {**case["steps"][place], **changes})}


def _resets(document: Case, defaults: Case) -> Iterator[Case]:
    for name, value in defaults.items():
        if document[name] != value:
            yield {**document, name: value}


def _parts_dropped(document: Case) -> Iterator[Case]:
    """Without one entry of a list or an object; a targeting tree becomes one of its children."""
    for name in ("caps", "schedule", "tags", "stop_after"):
        part = document.get(name)
        if isinstance(part, list):
            yield from ({**document, name: _without(part, at)} for at in range(len(part)))
        elif isinstance(part, dict) and len(part) > 1:
            for key in part:
                yield {**document, name: {each: value for each, value in part.items() if each != key}}
    node = document.get("targeting") or {}
    for child in [*node.get("all", []), *node.get("any", []), *([node["not"]] if "not" in node else [])]:
        yield {**document, "targeting": child}


def _without(items: list[Any], place: int) -> list[Any]:
    return items[:place] + items[place + 1 :]


def _replaced(items: list[Any], place: int, item: Any) -> list[Any]:
    return [*items[:place], item, *items[place + 1 :]]


def written(case: Case) -> str:
    """As JSON; without what says nothing."""
    said = (*CAMPAIGN, "name", "variants")
    campaigns = [
        {
            name: value
            for name, value in each.items()
            if name not in said or value != CAMPAIGN.get(name, value)
        }
        for each in case["campaigns"]
    ]
    return json.dumps({**case, "campaigns": campaigns}, indent=1)
