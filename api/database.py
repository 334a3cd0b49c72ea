"""How this service connects to PostgreSQL: one place for time-outs, names and planner settings."""

from functools import partial
from typing import Any, Final

import asyncpg

from api.admin.store import init_connection
from buffer.connection import Connect
from buffer.fence import Fence
from buffer.hosts import Host
from buffer.primary import Primary, connect_to

#: A dead peer is noticed in 9 s also where no query waits.
_KEEPALIVE: Final = {"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
_COMMON: Final = {"jit": "off", "timezone": "UTC", **_KEEPALIVE}


#: Without `enable_seqscan=off`, a plan made for a table that was analyzed while empty reads it whole:
#: later a million rows of an audience, until the next ANALYZE.
_READ: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "default_transaction_read_only": "on",
}


def replica_connection(host: Host, fence: Fence, *, name: str, timeout_seconds: float) -> Connect:
    """For the snapshot statement, which is planned once: its plan prunes partitions at run time.

    The server may be a primary (a promoted replica), but none that was replaced.
    """
    settings = _settings(name, _READ)
    return partial(connect_to, host, fence, timeout_seconds=timeout_seconds, server_settings=settings)


def primary_reader_connection(primary: Primary, *, name: str) -> Connect:
    """Like `replica_connection`, where the replicas can't be read."""
    return partial(primary.connect, server_settings=_settings(name, _READ))


def writer_connection(primary: Primary, *, name: str, synchronous: str = "on") -> Connect:
    """For the flusher: no statement time-out, since a cancelled COPY may have been committed.

    `synchronous` is PostgreSQL's synchronous_commit; it matters to a logged buffer only.
    """
    settings = {"statement_timeout": "0", "synchronous_commit": synchronous}
    return partial(primary.connect, server_settings=_settings(name, settings))


def announcing_connection(primary: Primary, *, name: str) -> Connect:
    """For LISTEN and NOTIFY: an announcement is a hint, so its commit need not be on disk."""
    return partial(primary.connect, server_settings=_settings(name, {"synchronous_commit": "off"}))


def counting_connection(primary: Primary, *, name: str, statement_seconds: float) -> Connect:
    """For statistics, whose commits need not be on disk.

    A statement that takes too long is ended by the server. A client that ended it by going away could not
    know whether it was done all the same, and would count twice.
    """
    settings = {"statement_timeout": f"{round(statement_seconds * 1000)}", "synchronous_commit": "off"}
    return partial(primary.connect, server_settings=_settings(name, settings))


async def admin_pool(primary: Primary, *, max_connections: int) -> asyncpg.Pool:
    """A pool that connects when it is first used: the service starts also while the primary is away."""

    async def connect(dsn: str | None = None, **options: Any) -> asyncpg.Connection:
        del dsn  # the pool has none: the primary's hosts are known
        return await primary.connect(**options)

    pool: asyncpg.Pool = asyncpg.create_pool(
        connect=connect,
        min_size=0,
        max_size=max_connections,
        init=init_connection,
        server_settings={**_COMMON, "application_name": "tayang admin", "lock_timeout": "5s"},
    )
    return await pool


def _settings(name: str, settings: dict[str, str]) -> dict[str, str]:
    return {**_COMMON, "application_name": f"tayang {name}", **settings}
