"""Starting and stopping the service under attack, and the sabotage that the audit must see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

from maintenance.prepare import prepare_database
from maintenance.settings import MaintenanceConfig
from tayang.embedded import EmbeddedCluster
from tests.acceptance.processes import ROOT, Shell
from tests.adversity.chaos.rig import Rig
from tests.adversity.ground import Servers

Sabotage = Literal["none", "no-retransmission", "no-uniqueness"]

_INJECTED: Final = Path(__file__).parent / "injected"
#: Instead of a minute, so that each round has every statement of a rotation.
_ROTATION_SECONDS: Final = 0.6


@asynccontextmanager
async def running_rig(
    cluster: EmbeddedCluster, servers: Servers, directory: Path, *, database: str, sabotage: Sabotage = "none"
) -> AsyncIterator[Rig]:
    """A service on a new database; afterwards no process and no port of it is left."""
    await servers.run(_create_database, cluster, database)
    await prepare_database(MaintenanceConfig(primary_dsn=cluster.primary.dsn(database)))
    if sabotage == "no-uniqueness":
        await servers.run(_drop_the_key, cluster, database)
    data_dir = directory / database
    data_dir.mkdir()
    shell = Shell(data_dir, data_dir, _environment(data_dir, sabotage))
    rig = Rig(cluster, database, shell, servers)
    try:
        await rig.start()
        yield rig
    finally:
        try:
            await rig.stop()
            await shell.nothing_left()
        finally:
            await shell.close()


def _environment(data_dir: Path, sabotage: Sabotage) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{_INJECTED}:{ROOT}",
        "CHAOS_CLOCK_FILE": str(data_dir / "clocks"),
        "CHAOS_FORCED_ROTATION_SECONDS": str(_ROTATION_SECONDS),
        "CHAOS_SABOTAGE": sabotage,
    }


def _create_database(cluster: EmbeddedCluster, name: str) -> None:
    with cluster.primary.connect("postgres") as connection:
        connection.execute(f'CREATE DATABASE "{name}"')


def _drop_the_key(cluster: EmbeddedCluster, database: str) -> None:
    """Without it ON CONFLICT finds nothing: only what is in one merge twice still counts once."""
    with cluster.primary.connect(database) as connection:
        connection.execute("ALTER TABLE impressions DROP CONSTRAINT impressions_pkey")
