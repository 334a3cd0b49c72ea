"""What a request would read, and from which server."""

from datetime import UTC, datetime

from maintenance.merge import merge_all
from tests.support.database import Database
from tests.support.service import Service


async def keys(service: Service, user: str = "ani") -> list[str]:
    return [popup["campaign"] for popup in await service.popups(user)]


async def total(service: Service, campaign_id: int, user: str = "ani") -> int:
    """How often the user has seen the campaign, as a request would count it."""
    seen = (await service.delivery.reader.view(user)).history.of(campaign_id)
    return 0 if seen is None else seen.total


async def answering(service: Service) -> bool:
    status, _ = await service.get_popups("ani")
    return status == 200


def batches(service: Service, server: str) -> int:
    return service.delivery.reader.stats.batches[server]


async def merge_on_the_primary(database: Database) -> None:
    """Without waiting for the replica."""
    await merge_all(await database.primary(), datetime.now(UTC))
