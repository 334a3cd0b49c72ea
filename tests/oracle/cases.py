"""Random cases, each a document of its own: campaigns, a policy, and steps (a user, a time, a request).

`before`: what some of the campaigns were until they were changed; the oracle doesn't look at it.

The values are few and the times near each other's edges: every rule fails or holds by a hair, and often.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.oracle.calendars import local_date
from tests.oracle.campaigns import CampaignMaker, budget_state, policy
from tests.oracle.documents import events_of
from tests.oracle.histories import events, span_back
from tests.oracle.rules import Draws, Situation
from tests.oracle.tuning import RoughDraws, settle, tune
from tests.oracle.vocabulary import ATTRIBUTES, MOMENTS, SESSIONS, USERS, ZONES

Case = dict[str, Any]

_MICROSECOND: Final = timedelta(microseconds=1)
_CAMPAIGNS_MAX: Final = 12
_STEPS_MAX: Final = 3


def random_case(seed: int, number: int, moments: Mapping[str, Sequence[str]] = MOMENTS) -> Case:
    """The same for the same arguments. `moments`: by zone, near which it is now."""
    random = Random(f"{seed}/{number}")
    zone = random.choice(tuple(moments))
    now = _now(random, moments[zone])
    maker = CampaignMaker(random, zone, now)
    campaigns = [maker.campaign(each + 1) for each in range(random.randint(1, _CAMPAIGNS_MAX))]
    before = [maker.campaign(campaign["id"]) if random.random() < 0.4 else campaign for campaign in campaigns]
    case: Case = {
        "campaigns": campaigns,
        "before": random.sample(before, random.randint(0, len(before))) if random.random() < 0.3 else [],
        "policy": policy(random, zone),
        "steps": [],
    }
    step = _step(random, case, now)
    tune(random, situation(case, step, RoughDraws()))
    case["steps"] = [step]
    while len(case["steps"]) < _STEPS_MAX and random.random() < 0.5:
        case["steps"].append(_later_step(random, case, case["steps"][-1]))
    for step in case["steps"]:
        settle(situation(case, step, RoughDraws()))
    return case


def situation(case: Case, step: Case, draws: Draws) -> Situation:
    """As the oracle takes it."""
    return Situation(
        campaigns={campaign["id"]: campaign for campaign in case["campaigns"]},
        policy=case["policy"],
        events=events_of(step["events"]),
        listed=frozenset(step["listed"]),
        request=step["request"],
        now=datetime.fromisoformat(step["now"]),
        draws=draws,
        spent={int(number): spent for number, spent in step["spent"].items()},
    )


def _now(random: Random, moments: Sequence[str]) -> datetime:
    moment = datetime.fromisoformat(random.choice(moments))
    shift = random.choice(
        (
            timedelta(),
            timedelta(minutes=random.choice((-30, -1, 1, 29, 30, 31, 60, 61, 90))),
            timedelta(minutes=random.randint(-48 * 60, 48 * 60)),
            timedelta(microseconds=random.randint(-(10**12), 10**12)),
        )
    )
    return moment + shift + random.choice((-1, 0, 0, 1)) * _MICROSECOND


def _step(random: Random, case: Case, now: datetime) -> Case:
    campaigns = case["campaigns"]
    return {
        "now": now.isoformat(),
        "events": events(random, case, now),
        "listed": [campaign["id"] for campaign in campaigns if random.random() < 0.6],
        "request": _request(random),
        "spent": {
            str(campaign["id"]): budget_state(random, campaign)
            for campaign in campaigns
            if campaign["budget"] is not None
        },
    }


def _later_step(random: Random, case: Case, before: Case) -> Case:
    """The same user's next request, or another user's: what the engine remembers must not show."""
    now = datetime.fromisoformat(before["now"])
    if random.random() < 0.4:
        return _step(random, case, now + random.choice((0, 0, 1, -3600)) * timedelta(seconds=1))
    later = now + span_back(random) + random.choice((-1, 0, 0, 1)) * _MICROSECOND
    request = before["request"] if random.random() < 0.5 else _request(random)
    step = {**before, "now": later.isoformat(), "request": request}
    return {**step, "spent": _another_day(case, before, now, later)}


def _another_day(case: Case, before: Case, now: datetime, later: datetime) -> Case:
    spent = {}
    for campaign in case["campaigns"]:
        state = before["spent"].get(str(campaign["id"]))
        zone = ZoneInfo(campaign["timezone"])
        if state is not None and "today" in state and local_date(now, zone) != local_date(later, zone):
            state = {**state, "today": 0}
        if state is not None:
            spent[str(campaign["id"])] = state
    return spent


def _request(random: Random) -> Case:
    attributes = {name: random.choice(values) for name, values in ATTRIBUTES.items()}
    return {
        "user": random.choice(USERS),
        "placement": "home",
        "limit": random.choice((1, 2, 3, 5, 20)),
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "session": random.choice((*SESSIONS, *SESSIONS, None)),
        "tz": random.choice((*ZONES, None, None, None, None)),
        "test": random.random() < 0.04,
    }
