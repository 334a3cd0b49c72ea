"""What a COPY into the buffer waits for, and that the setting reaches the flusher's connection."""

import pytest

from tests.support.service import ServiceFactory

SETTING = "SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'"


@pytest.mark.parametrize("wanted", ["on", "off"])
async def test_the_flusher_commits_as_it_was_told(start_service: ServiceFactory, wanted: str) -> None:
    service = await start_service(buffer_synchronous_commit=wanted)

    connection = service.delivery.flusher._sink._connection  # type: ignore[attr-defined]  # the real sink's

    assert await connection.fetchval(SETTING) == wanted
