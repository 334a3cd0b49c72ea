"""What a database needs before the service can use it: the newest schema and the coming days' partitions."""

import asyncio
from datetime import UTC, datetime

from maintenance.connection import check_version, connect
from maintenance.duty import PARTITION_DUTY
from maintenance.migrate import migrate
from maintenance.partitions import keep_partitions
from maintenance.settings import MaintenanceConfig


async def prepare_database(config: MaintenanceConfig) -> str:
    """Returns the schema's revision. Raises MaintenanceError, or one of DATABASE_ERRORS."""
    connection = await connect(config, "migrate")
    try:
        check_version(connection)
        revision = await asyncio.to_thread(migrate, config.primary_dsn)
        # Whoever holds the duty keeps the partitions.
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", PARTITION_DUTY):
            await keep_partitions(
                connection,
                datetime.now(UTC).date(),
                log_days=config.impression_retention_days,
                daily_count_days=config.daily_count_retention_days,
            )
    finally:
        connection.terminate()
    return revision
