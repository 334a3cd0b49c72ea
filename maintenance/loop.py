"""`tayang maintain`: merge every interval, keep partitions every hour, survive lost connections.

Each duty holds a session advisory lock: a second process stands by and takes over when it is free.
A `tayang merge` in between takes its turn, for each merge has a lock of its own. Partitions are kept
on a connection of their own, since a detach may have to wait; so are erasures, which search the log.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg

from buffer.connection import DATABASE_ERRORS, cut_is_lost
from buffer.contract import BUFFER_TABLES
from buffer.primary import Primary
from maintenance.connection import check_version, connect, primary_of
from maintenance.duty import ERASURE_DUTY, MERGE_DUTY, PARTITION_DUTY, statement
from maintenance.erasures import erased_in_buffer, finish_erasures, forget_erasures
from maintenance.merge import MERGE_MAX_ROWS, merge_once, rotate
from maintenance.no_shows import forget_no_shows
from maintenance.partitions import keep_partitions, least_id_at
from maintenance.settings import MaintenanceConfig

log = logging.getLogger("tayang.maintain")

PARTITION_SECONDS: Final = 3600.0
FORCED_ROTATION_SECONDS: Final = 60.0
INSTANCE_KEPT: Final = timedelta(days=30)
USES_KEPT_AT_LEAST: Final = timedelta(days=2)
CLOCKS_APART: Final = timedelta(days=1)
ERASURE_SECONDS: Final = 0.25
_STANDBY_SECONDS: Final = 1.0
_RECONNECT_MAX_SECONDS: Final = 5.0

_FORGET_INSTANCES: Final = statement("forget_instances")
_FORGET_USES: Final = statement("forget_uses")
_FORGET_UPLOADS: Final = statement("forget_uploads")
_PERSISTENCE: Final = statement("buffer_persistence")

Duty = Callable[[asyncpg.Connection], Awaitable[None]]


async def maintain(config: MaintenanceConfig, stop: asyncio.Event) -> None:
    """Run all duties until `stop` is set. A merge under way is finished first."""
    connector = _Connector(config, primary_of(config), stop)
    async with asyncio.TaskGroup() as duties:
        duties.create_task(_with_lock(connector, "merge", MERGE_DUTY, _merging(config, stop)))
        duties.create_task(_with_lock(connector, "partitions", PARTITION_DUTY, _partitioning(config, stop)))
        duties.create_task(_with_lock(connector, "erasures", ERASURE_DUTY, _erasing(stop)))
        if len(connector.primary.hosts) > 1:
            duties.create_task(_look_out(connector))


class _Connector(NamedTuple):
    config: MaintenanceConfig
    primary: Primary
    stop: asyncio.Event


async def _look_out(connector: _Connector) -> None:
    """Notice a failover also while a duty waits for the old primary, which may hang: its connection is cut.

    A duty's own limit can't do that, for a merge of a backlog may rightly take minutes.
    """
    seconds = connector.config.database_timeout_seconds
    while not connector.stop.is_set():
        await connector.primary.look_around(seconds=seconds)
        await _wait(connector.stop, seconds)


async def _with_lock(connector: _Connector, name: str, lock: int, duty: Duty) -> None:
    """Hold the duty's lock on a connection and do the duty there; again whenever that is lost."""
    config, primary, stop = connector
    delay = 0.1
    while not stop.is_set():
        connection = None
        try:
            connection = await connect(config, name, primary)
            check_version(connection)
            with cut_is_lost(connection):
                await _acquire(connection, name, lock, stop)
                delay = 0.1
                if not stop.is_set():
                    await duty(connection)
        except DATABASE_ERRORS as error:
            log.warning("%s: %s; trying again in %.1f s", name, error or type(error).__name__, delay)
            await _wait(stop, delay)
            delay = min(_RECONNECT_MAX_SECONDS, delay * 2)
        finally:
            if connection is not None:
                connection.terminate()


async def _acquire(connection: asyncpg.Connection, name: str, lock: int, stop: asyncio.Event) -> None:
    standing_by = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
        if not standing_by:
            log.info("%s: another process does it; standing by", name)
            standing_by = True
        await _wait(stop, _STANDBY_SECONDS)
        if stop.is_set():
            return
    log.info("%s: on duty", name)


def _merging(config: MaintenanceConfig, stop: asyncio.Event) -> Duty:
    async def merge_until_stopped(connection: asyncpg.Connection) -> None:
        await set_persistence(connection, config.buffer_persistence)
        rotated_at = time.monotonic()
        traces = True  # what a merge before this process has dropped may still be there
        while not stop.is_set():
            started = time.monotonic()
            result = await merge_once(connection, datetime.now(UTC))
            if traces or result.erased or result.erasing:
                traces = bool(await erased_in_buffer(connection))
            if result.rows:
                log.debug("merged %s", result)
            if result.quarantined:
                log.error("%d events fit no partition: see impression_quarantine", result.quarantined)
            due = started - rotated_at >= FORCED_ROTATION_SECONDS
            await (rotate(connection, min_bytes=1) if due or traces else rotate(connection))
            if due:
                rotated_at = started
            if result.rows < MERGE_MAX_ROWS:
                await _wait(stop, config.merge_interval_seconds - (time.monotonic() - started))

    return merge_until_stopped


def _partitioning(config: MaintenanceConfig, stop: asyncio.Event) -> Duty:
    async def keep_until_stopped(connection: asyncpg.Connection) -> None:
        while not stop.is_set():
            now = datetime.now(UTC)
            result = await keep_partitions(
                connection,
                now.date(),
                log_days=config.impression_retention_days,
                daily_count_days=config.daily_count_retention_days,
            )
            if result.created or result.dropped:
                log.info("partitions: %d created, %d dropped", result.created, result.dropped)
            await connection.execute(_FORGET_INSTANCES, now - INSTANCE_KEPT)
            await forget_uses(connection, now, accept_within_seconds=config.accept_within_seconds)
            await forget_no_shows(connection, now.date(), daily_count_days=config.daily_count_retention_days)
            await forget_erasures(connection, now, kept=erasures_kept(config))
            await forget_uploads(connection)
            await _wait(stop, PARTITION_SECONDS)

    return keep_until_stopped


def _erasing(stop: asyncio.Event) -> Duty:
    async def erase_until_stopped(connection: asyncpg.Connection) -> None:
        while not stop.is_set():
            await finish_erasures(connection, datetime.now(UTC))
            await _wait(stop, ERASURE_SECONDS)

    return erase_until_stopped


def erasures_kept(config: MaintenanceConfig) -> timedelta:
    """While a phone may send an old impression, and then while the log would take one that has waited."""
    accepted = timedelta(seconds=config.accept_within_seconds)
    return accepted + timedelta(days=config.impression_retention_days) + CLOCKS_APART


async def forget_uses(connection: asyncpg.Connection, now: datetime, *, accept_within_seconds: int) -> None:
    """Whether a unit was spent is asked only while the impression may be sent again."""
    kept = max(USES_KEPT_AT_LEAST, timedelta(seconds=accept_within_seconds) + CLOCKS_APART)
    await connection.execute(_FORGET_USES, least_id_at(now - kept))


async def forget_uploads(connection: asyncpg.Connection) -> int:
    """Deletes audience uploads that have expired, with their parts; returns how many."""
    return int((await connection.execute(_FORGET_UPLOADS)).removeprefix("DELETE "))


async def set_persistence(connection: asyncpg.Connection, wanted: str) -> None:
    """Make the buffer tables logged or unlogged, as set. The caller holds MERGE_DUTY."""
    for table in BUFFER_TABLES:
        logged = await connection.fetchval(_PERSISTENCE, table) == "p"
        if logged != (wanted == "logged"):
            await connection.execute(f"ALTER TABLE {table} SET {wanted.upper()}")
            log.info("%s is %s now", table, wanted)


async def _wait(stop: asyncio.Event, seconds: float) -> Any:
    """Return after so many seconds, or as soon as `stop` is set."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        return
