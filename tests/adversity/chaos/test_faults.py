"""Each fault does to real connections what it says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import asyncpg
import pytest

from tests.adversity.chaos.faults import (
    AtStatement,
    BlackHole,
    CutCopy,
    Delay,
    HalfClosed,
    Place,
    Side,
    everyone,
)
from tests.adversity.chaos.proxy import Proxy
from tests.adversity.chaos.wire import Point
from tests.support.database import Database
from tests.support.waiting import until

Connect = Callable[[], Coroutine[None, None, asyncpg.Connection]]
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_NAME = "through the proxy"


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[Proxy]:
    await (await database.primary()).execute("CREATE TABLE kept (number integer)")
    proxy = Proxy(database.cluster.primary.port)
    await proxy.start()
    yield proxy
    await proxy.stop()
    assert not proxy.errors
    assert not proxy.links


@pytest.fixture
async def connect(database: Database, proxy: Proxy) -> AsyncIterator[Connect]:
    opened: list[asyncpg.Connection] = []

    async def open_connection() -> asyncpg.Connection:
        settings = {"application_name": _NAME}
        connection = await asyncpg.connect(
            database.primary_dsn, port=proxy.port, timeout=10, server_settings=settings
        )
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.terminate()


async def _kept(database: Database) -> int:
    """Rows, when the connection through the proxy has ended on the server."""
    primary = await database.primary()

    async def alone() -> bool:
        return not await primary.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", _NAME
        )

    await until(alone, "the server has noticed the end")
    return int(await primary.fetchval("SELECT count(*) FROM kept"))


@pytest.mark.parametrize(("place", "kept"), [("inside", 0), ("before done", 0), ("after done", 3)])
async def test_a_copy_is_cut(
    database: Database, proxy: Proxy, connect: Connect, place: Place, kept: int
) -> None:
    connection = await connect()
    proxy.strike(fault := CutCopy(place, times=1))

    with pytest.raises(_LOST):
        await connection.copy_records_to_table("kept", records=[(1,), (2,), (3,)])

    assert fault.struck.is_set()
    assert await _kept(database) == kept
    await (await connect()).copy_records_to_table("kept", records=[(4,)])  # once was enough


@pytest.mark.parametrize(("side", "kept"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("prepared", [False, True])
async def test_a_client_dies_at_its_commit(
    database: Database, proxy: Proxy, connect: Connect, side: Side, kept: int, *, prepared: bool
) -> None:
    connection = await connect()
    commit = Point("INSERT INTO kept VALUES (N)", "COMMIT")
    proxy.strike(fault := AtStatement(everyone, commit, side, connection.terminate))

    await connection.execute("BEGIN")
    await connection.execute("INSERT INTO kept VALUES (1)")
    with pytest.raises(_LOST):
        await (connection.fetch("COMMIT") if prepared else connection.execute("COMMIT"))

    assert fault.struck.is_set()
    assert await _kept(database) == kept


@pytest.mark.parametrize(("deliver", "kept"), [(True, 1), (False, 0)])
async def test_what_a_black_hole_took_arrives_late_or_never(
    database: Database, proxy: Proxy, connect: Connect, *, deliver: bool, kept: int
) -> None:
    connection = await connect()
    proxy.strike(BlackHole(everyone, deliver=deliver))
    statement = asyncio.create_task(connection.execute("INSERT INTO kept VALUES (1)"))
    newcomer = asyncio.create_task(connect())
    await until(lambda: len(proxy.links) == 2, "the newcomer is in the black hole, too")
    assert not statement.done()
    assert not newcomer.done()

    connection.terminate()  # its statement is on its way
    proxy.heal()

    await asyncio.gather(statement, return_exceptions=True)
    if deliver:
        (await newcomer).terminate()
    else:
        await asyncio.gather(newcomer, return_exceptions=True)
    assert await _kept(database) == kept


async def test_the_client_sees_an_end_that_the_server_does_not(
    database: Database, proxy: Proxy, connect: Connect
) -> None:
    connection = await connect()
    await connection.execute("SELECT pg_advisory_lock(7)")
    proxy.strike(HalfClosed(everyone, seen_by="client"))
    await until(connection.is_closed, "the client has seen it")

    primary = await database.primary()
    assert not await primary.fetchval("SELECT pg_try_advisory_lock(7)")
    proxy.heal()

    await until(lambda: primary.fetchval("SELECT pg_try_advisory_lock(7)"), "the server has seen it")


async def test_the_server_sees_an_end_that_the_client_does_not(
    database: Database, proxy: Proxy, connect: Connect
) -> None:
    connection = await connect()
    proxy.strike(HalfClosed(everyone, seen_by="server"))

    assert await _kept(database) == 0
    assert not connection.is_closed()
    proxy.heal()

    await until(connection.is_closed, "the client has seen it")


async def test_a_delay_is_waited_on_the_way_there_and_back(proxy: Proxy, connect: Connect) -> None:
    connection = await connect()
    loop = asyncio.get_running_loop()
    proxy.strike(Delay(0.1))
    started = loop.time()

    assert await connection.fetchval("SELECT 1", timeout=20) == 1

    assert loop.time() - started >= 0.2
