"""What `serve` and `maintain` look at before they begin."""

import logging

from buffer.connection import DATABASE_ERRORS
from maintenance.connection import check_version, connect
from maintenance.schema import check_schema
from tayang.settings import Settings

log = logging.getLogger("tayang.service")


async def check_database(settings: Settings) -> None:
    """Raises MaintenanceError for a server too old or a schema that doesn't fit.

    A database that is away is no reason not to start: the service reports itself not ready.
    """
    try:
        connection = await connect(settings.maintenance(), "check")
        try:
            check_version(connection)
            await check_schema(connection)
        finally:
            connection.terminate()
    except DATABASE_ERRORS as error:
        log.warning("the primary can't be reached yet: %s", error or type(error).__name__)
