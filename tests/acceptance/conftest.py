"""Shells for the acceptance tests. Each asserts at its end that nothing is left running."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tayang.embedded import EmbeddedCluster
from tests.acceptance.banner import UpShell


@pytest.fixture(scope="session")
def up_data_dir() -> Iterator[Path]:
    """One for all tests of `tayang up`: every start after the first finds the data of the one before."""
    directory = Path(tempfile.mkdtemp(prefix="tayang-up-"))
    if os.geteuid() == 0:
        directory.chmod(0o711)  # the servers' account passes through
    yield directory / "data"
    shutil.rmtree(directory)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[UpShell]:
    """With a data directory of its own, which isn't there yet."""
    shell = UpShell(tmp_path / "data", tmp_path)
    yield shell
    await shell.close()


@pytest.fixture
async def up_shell(up_data_dir: Path, tmp_path: Path) -> AsyncIterator[UpShell]:
    """With the embedded servers that all tests share."""
    shell = UpShell(up_data_dir, tmp_path)
    yield shell
    await shell.close()


@pytest.fixture
async def empty_database(cluster: EmbeddedCluster) -> AsyncIterator[str]:
    """The DSN of a database in which nothing is migrated."""
    name = "acceptance"
    with cluster.primary.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield cluster.primary.dsn(name)
    with cluster.primary.connect("postgres") as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
