"""The position that a replica has to reach, when the log that it was of is gone."""

from collections.abc import Sequence
from typing import cast

from api.read.freshness import Freshness
from api.read.server import Server
from buffer.connection import ConnectionFailedError


class ScriptedServer:
    """Answers what the test has put into it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.openings = 1
        self.replayed = 0
        self.position: int | None = None
        self.snapshots = 0

    async def snapshot(self, _users: Sequence[str]) -> None:
        self.snapshots += 1

    async def primary_position(self) -> int:
        if self.position is None:
            raise ConnectionFailedError("away")
        return self.position


def freshness_of(*replicas: ScriptedServer, primary: ScriptedServer, seconds: float) -> Freshness:
    return Freshness(
        cast("Sequence[Server]", replicas), cast("Server", primary), max_staleness_seconds=seconds
    )


def stale(freshness: Freshness, replica: ScriptedServer) -> bool:
    return freshness.stale(cast("Server", replica))


async def test_after_a_failover_no_position_of_the_old_log_is_waited_for() -> None:
    replica, primary = ScriptedServer("replica"), ScriptedServer("primary")
    freshness = freshness_of(replica, primary=primary, seconds=0.0)
    primary.position, replica.replayed = 1000, 900
    for _ in range(2):
        await freshness.check()
    assert stale(freshness, replica)

    # What was written from 950 on has died with the old primary.
    primary.position, primary.openings, replica.replayed = 950, 2, 950
    await freshness.check()
    assert not stale(freshness, replica)


async def test_each_replica_has_a_verdict_of_its_own() -> None:
    near, far, primary = ScriptedServer("replica 1"), ScriptedServer("replica 2"), ScriptedServer("primary")
    freshness = freshness_of(near, far, primary=primary, seconds=0.0)
    primary.position, near.replayed, far.replayed = 1000, 1000, 10
    for _ in range(2):
        await freshness.check()
    assert (stale(freshness, near), stale(freshness, far)) == (False, True)
    assert freshness.ages_seconds().keys() == {"replica 1"}


async def test_without_the_primary_the_verdicts_stand() -> None:
    near, far, primary = ScriptedServer("replica 1"), ScriptedServer("replica 2"), ScriptedServer("primary")
    freshness = freshness_of(near, far, primary=primary, seconds=0.0)
    primary.position, near.replayed, far.replayed = 1000, 1000, 10
    for _ in range(2):
        await freshness.check()
    primary.position = None
    for _ in range(3):
        await freshness.check()
    assert (stale(freshness, near), stale(freshness, far)) == (False, True)
