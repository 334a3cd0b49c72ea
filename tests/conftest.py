"""Real PostgreSQL for every test: one primary and one streaming replica a run, one database a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import asyncpg
import hypothesis  # noqa: F401  (its plugin would import it at the end, where CPython 3.11 can fail: gh-106905)
import pytest

from maintenance.migrate import migrate
from maintenance.partitions import keep_partitions
from tayang.embedded import EmbeddedCluster
from tests.support.database import Database, new_database
from tests.support.directories import servers_directory
from tests.support.service import Service, ServiceFactory

_TEMPLATE = "tayang_template"


#: Folders of the longest tests: begun last, they would leave the other test process idle.
_LONGEST = ("tests/adversity/", "tests/oracle/", "tests/acceptance/", "tests/simulations/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; else in the random order that they have."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedCluster]:
    with (
        servers_directory("tayang-tests-") as directory,
        EmbeddedCluster(directory / "servers", durable=False) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def template(cluster: EmbeddedCluster) -> str:
    with cluster.primary.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    dsn = cluster.primary.dsn(_TEMPLATE)
    migrate(dsn)

    async def partitions() -> None:
        connection = await asyncpg.connect(dsn)
        await keep_partitions(connection, datetime.now(UTC).date(), log_days=35, daily_count_days=800)
        await connection.close()

    # In a thread: a session fixture of plain pytest may run inside the event loop of a test.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, partitions()).result(60)
    return _TEMPLATE


@pytest.fixture
async def database(cluster: EmbeddedCluster, template: str) -> AsyncIterator[Database]:
    """A fresh migrated database, on the primary and, once this returns, on the replica."""
    async with new_database(cluster, template) as database:
        yield database


@pytest.fixture
async def empty_database(cluster: EmbeddedCluster) -> AsyncIterator[Database]:
    """A database without Tayang's schema."""
    async with new_database(cluster, "template1") as database:
        yield database


@pytest.fixture
async def start_service(database: Database) -> AsyncIterator[ServiceFactory]:
    """Start api processes' applications here: `service = await start_service(pending_max_rows=5)`."""
    running: list[Service] = []

    async def start(**config: object) -> Service:
        service = await Service.start(database, **config)
        running.append(service)
        return service

    yield start
    for service in running:
        await service.close()


@pytest.fixture
async def service(start_service: Callable[..., object]) -> Service:
    return await start_service()  # type: ignore[misc, no-any-return]  # the factory is async
