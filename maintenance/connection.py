"""How the duties connect."""

import asyncpg

from buffer.primary import Primary
from maintenance.duty import MaintenanceError
from maintenance.settings import MaintenanceConfig

_SETTINGS = {
    "jit": "off",
    "timezone": "UTC",
    # The merge's transaction is what "merged" means: it is on disk before its watermark is seen.
    "synchronous_commit": "on",
    "plan_cache_mode": "force_custom_plan",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

OLDEST_POSTGRES = 15


def primary_of(config: MaintenanceConfig) -> Primary:
    """For a process that connects more than once: it remembers which primary is the newest."""
    return Primary(
        config.primary_dsn,
        timeout_seconds=config.database_timeout_seconds,
        stagger_seconds=config.connect_stagger_seconds,
    )


async def connect(config: MaintenanceConfig, duty: str, primary: Primary | None = None) -> asyncpg.Connection:
    """A connection to the primary, with a limit on every wait. Raises ConnectionFailedError."""
    return await (primary or primary_of(config)).connect(
        command_timeout=config.duty_timeout_seconds,
        server_settings={**_SETTINGS, "application_name": f"tayang {duty}"},
    )


def check_version(connection: asyncpg.Connection) -> None:
    """Raises MaintenanceError for a server that is too old."""
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise MaintenanceError(
            f"PostgreSQL {version.major} is too old: Tayang needs {OLDEST_POSTGRES} or later"
        )
