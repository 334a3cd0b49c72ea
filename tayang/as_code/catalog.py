"""What a service has: its campaigns and its policy, with their versions."""

from dataclasses import dataclass
from typing import Any, Final

from tayang.admin_client import FAILED, AdminClient, Answer, ServiceError

CAMPAIGNS: Final = "/v1/admin/campaigns"
POLICY: Final = "/v1/admin/policy"
_PAGE: Final = 200


@dataclass(frozen=True)
class Catalog:
    """Documents as the service answers them; `campaigns` by key, in the order of their ids."""

    campaigns: dict[str, dict[str, Any]]
    policy: dict[str, Any]


async def read_catalog(client: AdminClient) -> Catalog:
    """Raises ServiceError. Not one moment's: a later change shows in its version."""
    campaigns: dict[str, dict[str, Any]] = {}
    cursor: str | None = ""
    while cursor is not None:
        asked = {"limit": str(_PAGE), "cursor": cursor}
        page = expected(await client.ask("GET", CAMPAIGNS, params=asked)).document
        campaigns |= {campaign["key"]: campaign for campaign in page["campaigns"]}
        cursor = page["next_cursor"]
    return Catalog(campaigns, expected(await client.ask("GET", POLICY)).document)


def expected(answer: Answer) -> Answer:
    """Raises ServiceError for a refusal."""
    if not answer.ok:
        raise ServiceError(FAILED, answer.detail)
    return answer
