"""Attacks on the PostgreSQL servers."""

import os
import signal
from typing import Final

from tayang.embedded import Node
from tayang.embedded.cluster import PrimaryEnd
from tests.adversity.chaos import disk
from tests.adversity.chaos.attacks.chance import Chance
from tests.adversity.chaos.rig import MERGER, Rig
from tests.support.waiting import until

#: Whose server process dies.
_BACKENDS: Final = ("nobody", "tayang flusher%", MERGER, "tayang primary%")
_ENDS: Final[tuple[PrimaryEnd, ...]] = ("kill", "stop", "suspend")


async def kill_backend(rig: Rig, chance: Chance) -> str:
    """The postmaster restarts all others and recovers; UNLOGGED tables are empty then."""
    victim = chance.turn(_BACKENDS)
    await rig.servers.run(_kill_backend, rig.cluster.primary, victim)
    return f"of {victim}"


async def kill_primary(rig: Rig, _chance: Chance) -> str:
    await rig.servers.run(rig.cluster.primary.kill)
    await rig.servers.run(rig.cluster.primary.start)
    return "restarted at once"


async def kill_replica(rig: Rig, chance: Chance) -> str:
    await rig.servers.run(rig.cluster.replica.kill)
    lasted = await chance.last()
    await rig.servers.run(rig.cluster.replica.start)
    return f"away {lasted}"


async def promote_replica(rig: Rig, chance: Chance) -> str:
    end = chance.turn(_ENDS)
    await rig.servers.run(rig.cluster.fail_over, end)
    promoted_at = await rig.servers.run(_tick, rig)
    lasted = await chance.last()
    # While the old one is still what it was made: dead, stopped, or hanging with its connections open.
    await until(lambda: _merged_since(rig, promoted_at), "the new primary's buffer is merged")
    await rig.servers.run(rig.cluster.rejoin)
    return f"the primary by {end}; alone {lasted}"


async def stop_primary(rig: Rig, chance: Chance) -> str:
    return await _server_suspended(rig, rig.cluster.primary, chance)


async def stop_replica(rig: Rig, chance: Chance) -> str:
    return await _server_suspended(rig, rig.cluster.replica, chance)


async def fill_the_log_disk(rig: Rig, chance: Chance) -> str:
    """No room for WAL: PostgreSQL gives up, and doesn't start until there is."""
    primary = rig.cluster.primary
    await rig.servers.run(disk.fill, primary)
    try:
        lasted = await chance.last()
    finally:
        await rig.servers.run(disk.make_room, primary)
    return lasted


async def fill_the_buffer_disk(rig: Rig, chance: Chance) -> str:
    """No room for a buffer table's next page: COPY fails, and nothing else does."""
    primary = rig.cluster.primary
    seconds = chance.dice.uniform(0.5, chance.longest_seconds)
    times = await rig.servers.run(disk.fill_for, primary, "tayang flusher%", seconds)
    return f"for {seconds:.1f} s and {times} connections"


async def _server_suspended(rig: Rig, node: Node, chance: Chance) -> str:
    await rig.servers.run(node.suspend)
    try:
        return await chance.last()
    finally:
        await rig.servers.run(node.resume)


async def _merged_since(rig: Rig, tick: int) -> bool:
    return await rig.servers.run(_tick, rig) > tick


def _tick(rig: Rig) -> int:
    with rig.cluster.primary.connect(rig.database) as connection:
        row = connection.execute("SELECT tick FROM merge_ticks").fetchone()
        assert row is not None  # it has its one row from the first migration on
        return int(row[0])


def _kill_backend(primary: Node, application: str) -> None:
    """One whose application_name is like this, or our own if there is none."""
    with primary.connect("postgres") as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND application_name LIKE %s ORDER BY pid LIMIT 1",
            (application,),
        ).fetchone()
        own = connection.info.backend_pid
        os.kill(own if row is None else row[0], signal.SIGKILL)
