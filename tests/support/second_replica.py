"""Another replica of the shared primary, for a test that needs two."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tayang.embedded import EmbeddedCluster, Node
from tayang.embedded.config import SLOT, replica_settings
from tayang.embedded.creation import create_replica
from tayang.embedded.credentials import USER
from tayang.embedded.queries import query

_SLOT = "replica_2"


@asynccontextmanager
async def second_replica(cluster: EmbeddedCluster) -> AsyncIterator[Node]:
    """It streams through a slot of its own, and is gone afterwards."""
    site, primary = cluster._site, cluster.primary
    assert site is not None

    def settings(port: int) -> str:
        text = replica_settings(
            port,
            durable=False,
            shared_buffers_mib=64,
            primary_port=primary.port,
            user=USER,
            passfile=site.credentials.passfile,
        )
        return text.replace(SLOT, _SLOT)

    node = Node("second", cluster.data_dir)  # type: ignore[arg-type]  # a cluster has but two
    node.prepare(site, settings)
    with primary.connect("postgres") as connection:
        connection.execute(query("create_slot"), {"slot": _SLOT})
    try:
        create_replica(node, site, durable=False, primary_port=primary.port, slot=_SLOT)
        node.start()
        yield node
    finally:
        node.stop()
        shutil.rmtree(node.directory)
        with primary.connect("postgres") as connection:
            connection.execute("SELECT pg_drop_replication_slot(%s)", (_SLOT,))
