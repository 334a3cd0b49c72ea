"""How this service connects to PostgreSQL: one place for time-outs, names and planner settings."""

from typing import Any, Final

import asyncpg

from api.admin.store import init_connection
from buffer.connection import Connect

#: A dead peer is noticed in 9 s also where no query waits.
_KEEPALIVE: Final = {"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
_COMMON: Final = {"jit": "off", "timezone": "UTC", **_KEEPALIVE}


def reader_connection(dsn: str, *, name: str, timeout_seconds: float) -> Connect:
    """For the snapshot statement, which is planned once: its plan prunes partitions at run time."""
    settings = {"plan_cache_mode": "force_generic_plan", "default_transaction_read_only": "on"}
    return _connector(dsn, name, timeout_seconds, settings)


def writer_connection(dsn: str, *, name: str, timeout_seconds: float, synchronous: str = "on") -> Connect:
    """For the flusher: no statement time-out, since a cancelled COPY may have been committed.

    `synchronous` is PostgreSQL's synchronous_commit; it matters to a logged buffer only.
    """
    settings = {"statement_timeout": "0", "synchronous_commit": synchronous}
    return _connector(dsn, name, timeout_seconds, settings)


def announcing_connection(dsn: str, *, name: str, timeout_seconds: float) -> Connect:
    """For LISTEN and NOTIFY: an announcement is a hint, so its commit need not be on disk."""
    return _connector(dsn, name, timeout_seconds, {"synchronous_commit": "off"})


async def admin_pool(dsn: str, *, max_connections: int, timeout_seconds: float) -> asyncpg.Pool:
    """A pool that connects when it is first used: the service starts also while the primary is away."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_connections,
        timeout=timeout_seconds,
        init=init_connection,
        server_settings={**_COMMON, "application_name": "tayang admin", "lock_timeout": "5s"},
    )
    return await pool


def _connector(dsn: str, name: str, timeout_seconds: float, settings: dict[str, str]) -> Connect:
    async def connect() -> Any:
        return await asyncpg.connect(
            dsn,
            timeout=timeout_seconds,
            server_settings={**_COMMON, "application_name": f"tayang {name}", **settings},
        )

    return connect
