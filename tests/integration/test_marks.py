"""What answers note of themselves: ghosts of users who are held out, and who was served an experiment."""

import time
from typing import Any

import pytest

from api.http.marks import note
from api.tokens import impression_id_of
from buffer.contract import KIND_GHOST, KIND_SERVED
from tests.support.buffered import counts
from tests.support.counted import disagreements
from tests.support.database import Database
from tests.support.reading import keys
from tests.support.service import Service, ServiceFactory
from tests.support.tokens import token
from tests.support.waiting import until


def noted(service: Service, kind: int, **changes: Any) -> bool:
    """Of campaign 7, for ani."""
    mark: dict[str, Any] = {
        "user_id": "ani",
        "campaign_id": 7,
        "variant": "a",
        "kind": kind,
        "impression_id": impression_id_of(token().encode()),
        "session": 5,
        "now_us": time.time_ns() // 1000,
    }
    return note(service.delivery, **(mark | changes))


async def ids(service: Service) -> list[int]:
    return sorted((await service.delivery.reader.view("ani")).history.ids())


async def test_a_mark_is_known_at_once_and_flushed_by_itself(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(idle_probe_seconds=60.0)  # what is not woken sleeps
    assert noted(service, KIND_GHOST)
    assert noted(service, KIND_SERVED, campaign_id=8)
    assert await ids(service) == [-7, 8]
    pending = service.delivery.pending
    await until(lambda: pending.acked_through == 2, "both are committed, though nobody waits")

    await database.merge()
    primary = await database.primary()
    assert await disagreements(primary) == []
    row = await counts(primary, campaign_id=-7)
    assert (row["total"], row["sessions"]) == (1, [5])
    assert (await counts(primary, campaign_id=8))["total"] == 0
    assert await ids(service) == [-7, 8]
    late = await primary.fetchval("SELECT sum(late_events) FROM campaign_daily_counts")
    assert late == 0, "what was decided just now can't be late"


async def test_the_same_mark_twice_is_one(service: Service) -> None:
    identity = impression_id_of(token().encode())
    assert noted(service, KIND_GHOST, impression_id=identity)
    assert noted(service, KIND_GHOST, impression_id=identity)
    assert len(service.delivery.pending) == 1


async def test_other_processes_hear_of_marks(start_service: ServiceFactory) -> None:
    one, other = await start_service(), await start_service()
    await until(lambda: one.delivery.exchange.peers and other.delivery.exchange.peers, "both are heard")
    noted(one, KIND_GHOST)
    noted(one, KIND_SERVED, campaign_id=8)

    async def heard() -> bool:
        return await ids(other) == [-7, 8]

    await until(heard, "the announcements have arrived")


@pytest.mark.parametrize("kind", [KIND_GHOST, KIND_SERVED])
async def test_a_full_list_leaves_marks_out_and_goes_on_serving(
    start_service: ServiceFactory, kind: int
) -> None:
    service = await start_service(pending_max_rows=1)
    await service.create("any")
    assert noted(service, kind)
    assert not noted(service, kind)
    assert service.delivery.marks_left_out == 1
    assert await keys(service) == ["any"]
    assert len(service.delivery.pending) == 1
