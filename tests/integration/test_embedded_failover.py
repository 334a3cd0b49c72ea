"""Failover of the embedded servers, for real: roles are swapped, and stay so over a restart."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tayang.embedded import EmbeddedCluster, EmbeddedError
from tayang.embedded.cluster import PrimaryEnd
from tests.support.directories import memory_directory
from tests.support.nodes import execute, sees


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    """A cluster of this test alone, which may take it apart."""
    directory = Path(tempfile.mkdtemp(prefix="tayang-failover-", dir=memory_directory()))
    directory.chmod(0o711)
    try:
        with EmbeddedCluster(directory / "servers", durable=False) as running:
            yield running
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("end", ["kill", "stop", "suspend"])
def test_roles_are_swapped_and_swapped_back(cluster: EmbeddedCluster, end: PrimaryEnd) -> None:
    first, second = cluster.primary, cluster.replica
    execute(first, "CREATE TABLE kept AS SELECT 1 AS number")
    assert sees(second, "kept", 1)
    cluster.fail_over(end)
    assert (cluster.primary, cluster.replica) == (second, first)
    execute(cluster.primary, "INSERT INTO kept VALUES (2)")

    cluster.rejoin()
    assert execute(cluster.replica, "SELECT pg_is_in_recovery()") is True
    execute(cluster.primary, "INSERT INTO kept VALUES (3)")
    assert sees(cluster.replica, "kept", 3)

    cluster.fail_over(end)
    cluster.rejoin()
    assert (cluster.primary, cluster.replica) == (first, second)
    execute(cluster.primary, "INSERT INTO kept VALUES (4)")
    assert sees(cluster.replica, "kept", 4)


@pytest.mark.parametrize("rejoined", [True, False])
def test_swapped_roles_outlive_a_restart(cluster: EmbeddedCluster, rejoined: bool) -> None:
    cluster.fail_over()
    if rejoined:
        cluster.rejoin()
    execute(cluster.primary, "CREATE TABLE kept AS SELECT 1 AS number")
    cluster.stop()
    with EmbeddedCluster(cluster.data_dir, durable=False) as again:
        assert (again.primary.name, again.replica.name) == ("replica", "primary")
        assert execute(again.primary, "SELECT count(*) FROM kept") == 1
        assert sees(again.replica, "kept", 1)


def test_promoted_node_restarts_as_a_primary(cluster: EmbeddedCluster) -> None:
    cluster.fail_over()
    cluster.rejoin()
    cluster.primary.kill()
    cluster.primary.start()
    execute(cluster.primary, "CREATE TABLE after_kill AS SELECT 1 AS number")
    assert sees(cluster.replica, "after_kill", 1)


def test_old_primary_comes_back_as_a_stray_one_until_it_rejoins(cluster: EmbeddedCluster) -> None:
    cluster.fail_over()
    cluster.replica.start()
    execute(cluster.replica, "CREATE TABLE strayed AS SELECT 1 AS number")
    cluster.rejoin()
    assert execute(cluster.replica, "SELECT to_regclass('strayed')") is None


def test_without_the_last_primarys_data_the_start_is_refused(cluster: EmbeddedCluster) -> None:
    cluster.fail_over()
    cluster.stop()
    (cluster.data_dir / "replica").rename(cluster.data_dir / "moved")
    with pytest.raises(EmbeddedError, match=r"primary_directory says .*put it back, or remove the file"):
        cluster.start()
    assert not (cluster.data_dir / "replica").exists()
