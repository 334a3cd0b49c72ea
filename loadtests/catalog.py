"""What is in the catalog while we measure: our fifty campaigns live, and nothing else."""

from collections.abc import Iterator
from typing import Any, Final

from loadtests.campaigns import CAMPAIGNS, campaigns, listed
from loadtests.plan import Plan
from loadtests.service import BenchError, Service
from loadtests.traffic import user_id

#: One user of ten is on the list of a campaign that has one.
_LISTED_STEP: Final = 10


def set_up_catalog(service: Service, plan: Plan) -> list[int]:
    """Pause the examples that `tayang up` loads, end its policy, and create ours; returns the ids of ours."""
    service.admin("PUT", "/v1/admin/policy", {}, headers={"If-Match": "*"})
    for campaign in list(_live(service)):
        # The optimistic lock: `version` says which one is meant.
        change = {"status": "paused", "version": campaign["version"]}
        service.admin("PATCH", f"/v1/admin/campaigns/{campaign['id']}", change)
    ids = []
    for number, campaign in enumerate(campaigns()):
        created = service.admin("POST", "/v1/admin/campaigns", campaign)
        ids.append(int(created["id"]))
        if listed(campaign):
            users = range(number % _LISTED_STEP, plan.users, _LISTED_STEP)
            lines = "".join(f"{user_id(user)}\n" for user in users)
            service.admin("PUT", f"/v1/admin/campaigns/{created['id']}/audience", csv=lines.encode())
    live = sum(1 for _ in _live(service))
    if live != CAMPAIGNS:
        raise BenchError(f"{live} campaigns are live instead of {CAMPAIGNS}")
    return ids


def _live(service: Service) -> Iterator[dict[str, Any]]:
    cursor = ""
    while cursor is not None:
        page = service.admin("GET", f"/v1/admin/campaigns?status=live&cursor={cursor}")
        yield from page["campaigns"]
        cursor = page["next_cursor"]
