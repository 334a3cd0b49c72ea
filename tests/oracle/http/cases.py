"""Cases as they can be played against a service: each user is new, and all times are in one month.

Budgets are left out: what is spent of one belongs to all users of a campaign, and the campaigns go on from
case to case.
"""

from datetime import date, timedelta
from typing import Any, Final

from tests.oracle.cases import Case, random_case

#: Clocks change in three zones here, and a month begins in a fourth one.
MOMENTS: Final = {
    "UTC": ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
    "Asia/Jakarta": ("2026-10-31T17:00:00Z",),
    "America/New_York": ("2026-11-01T06:00:00Z", "2026-11-01T04:00:00Z"),
    "America/St_Johns": ("2026-11-01T04:30:00Z", "2026-11-01T02:30:00Z"),
    "America/Havana": ("2026-11-01T05:00:00Z", "2026-11-01T04:00:00Z"),
}
#: Days that the log needs partitions for: 40 days of history before, two months of later steps after.
FIRST_DAY: Final = date(2026, 9, 1)
LAST_DAY: Final = date(2027, 1, 20)


def http_case(seed: int, number: int) -> Case:
    case = random_case(seed, number, moments=MOMENTS)
    campaigns = [{**campaign, "budget": None} for campaign in case["campaigns"]]
    case = {**case, "campaigns": campaigns, "before": []}
    return {**case, "steps": [{**step, "spent": {}, "events": _events(case, step)} for step in case["steps"]]}


def _events(case: Case, step: Case) -> list[dict[str, Any]]:
    """Few of each where sessions are counted: beyond the 64 that the database keeps, memory knows more."""
    limits = [*case["campaigns"], case["policy"], *case["policy"]["tags"].values()]
    by_session = any(cap["window"] == "session" for some in limits for cap in some["caps"])
    few = 3 if by_session else 100
    return [
        {**event, "times": min(event["times"], few)} if "times" in event else event
        for event in step["events"]
    ]


def with_users(case: Case, name: str) -> Case:
    """Users that nobody knows yet: one for each history."""
    steps: list[dict[str, Any]] = []
    for place, step in enumerate(case["steps"]):
        before = steps[-1] if steps else None
        same = before is not None and (before["events"], before["listed"]) == (step["events"], step["listed"])
        said = {"user": f"{name}-{place}", "test": step["request"]["test"]}
        if same and before is not None:
            said = {each: before["request"][each] for each in said}
        steps.append({**step, "request": {**step["request"], **said}})
    return {**case, "steps": steps}


def weeks() -> list[date]:
    """Days a week apart, of which each makes the partitions of the next seven."""
    return [FIRST_DAY + timedelta(days=days) for days in range(0, (LAST_DAY - FIRST_DAY).days, 7)]
