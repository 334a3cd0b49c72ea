"""Crashes and outages of the servers that all tests share. Each one ends with both servers as they were."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import psycopg

from tayang.embedded import EmbeddedCluster, Node
from tayang.embedded.config import SLOT
from tayang.embedded.credentials import USER
from tayang.embedded.queries import query
from tests.support.waiting import until

_OUTAGES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.Error, TimeoutError)


async def crash_a_backend(cluster: EmbeddedCluster) -> None:
    """SIGKILL one backend: the primary restarts itself by crash recovery, which empties UNLOGGED tables."""
    victim = await asyncpg.connect(cluster.primary.dsn("postgres"))
    started = await victim.fetchval("SELECT pg_postmaster_start_time()")
    os.kill(await victim.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
    await until(victim.is_closed, "the victim's connection is gone")
    await streaming(cluster)
    # The postmaster itself lived on: it was a crash of a backend, not a restart.
    connection = await asyncpg.connect(cluster.primary.dsn("postgres"))
    assert await connection.fetchval("SELECT pg_postmaster_start_time()") == started
    await connection.close()


@asynccontextmanager
async def without(cluster: EmbeddedCluster, *nodes: Node) -> AsyncIterator[None]:
    """These servers are stopped inside the block."""
    for node in nodes:
        node.stop()
    try:
        yield
    finally:
        for node in reversed(nodes):
            node.start()
        await streaming(cluster)


@asynccontextmanager
async def suspended(cluster: EmbeddedCluster, *nodes: Node) -> AsyncIterator[None]:
    """Inside the block these servers keep their connections and answer nothing."""
    for node in nodes:
        node.suspend()
    try:
        yield
    finally:
        for node in nodes:
            node.resume()
        await streaming(cluster)


@asynccontextmanager
async def refusing(cluster: EmbeddedCluster, node: Node) -> AsyncIterator[None]:
    """The replica runs, and answers every client with 57P03, as all servers do while they start up."""
    assert node is cluster.replica
    assert cluster._site is not None
    node.stop()
    command = (cluster._site.binaries.path("postgres"), "-D", str(node.directory), "-c", "hot_standby=off")
    with node.log_file.open("ab") as log:
        process = cluster._site.account.spawn(command, cwd=node.directory, output=log)
    try:
        await until(lambda: _refusal(node) == "57P03", "the server refuses clients")
        yield
    finally:
        node.stop()
        process.wait(10)
        node.start()
        await streaming(cluster)


def _refusal(node: Node) -> str | None:
    try:
        node.connect("postgres").close()
    except psycopg.OperationalError as error:
        # A refusal while connecting has no SQLSTATE in libpq, only this text.
        return "57P03" if "not accepting connections" in str(error) else None
    return None


@asynccontextmanager
async def rejoined(cluster: EmbeddedCluster) -> AsyncIterator[None]:
    """A failover may happen inside the block; both servers run again after it, perhaps with roles swapped."""
    await streaming(cluster)
    before = cluster.primary
    try:
        yield
    finally:
        if cluster.primary is not before:
            cluster.rejoin()
        await streaming(cluster)


def several_hosts(cluster: EmbeddedCluster, database: str, *ports: int) -> str:
    """A DSN that names these ports in this order."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{USER}:{cluster.password}@{hosts}/{database}"


@contextmanager
def silent_port() -> Iterator[int]:
    """The kernel takes connections, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def replay_paused(cluster: EmbeddedCluster) -> AsyncIterator[None]:
    """The replica answers and receives, and stays in the past. Leave the block early with `resume_replay`."""
    with cluster.replica.connect("postgres") as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        await until(
            lambda: connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",),
            "the replay is paused",
        )
    try:
        yield
    finally:
        resume_replay(cluster)


def resume_replay(cluster: EmbeddedCluster) -> None:
    with cluster.replica.connect("postgres") as connection:
        connection.execute("SELECT pg_wal_replay_resume()")


async def streaming(cluster: EmbeddedCluster) -> None:
    """Return when the primary takes connections and the replica has replayed all that it has."""
    await until(lambda: caught_up(cluster), "the primary answers and the replica follows", seconds=30)


def caught_up(cluster: EmbeddedCluster) -> bool:
    """Whether the replica streams, and has replayed all that the primary has."""
    try:
        with cluster.primary.connect("postgres") as primary:
            if primary.execute(query("replica_streams"), {"slot": SLOT}).fetchone() != (True,):
                return False
            row = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            assert row is not None
        with cluster.replica.connect("postgres") as replica:
            statement = "SELECT pg_last_wal_replay_lsn() >= %s"
            return replica.execute(statement, row).fetchone() == (True,)
    except _OUTAGES:
        return False
