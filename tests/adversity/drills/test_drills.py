"""The drills, short: that they run, and what they promise whatever the machine's speed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from tayang.embedded import EmbeddedCluster
from tests.adversity.drills import audience, double_failure, erasure, failover, overshoot, pause
from tests.adversity.drills.stack import running_stack
from tests.adversity.ground import Servers, own_cluster
from tests.support.directories import servers_directory

Ground = tuple[EmbeddedCluster, Servers, Path]


@pytest.fixture(scope="module")
async def ground() -> AsyncIterator[Ground]:
    with servers_directory("tayang-drills-") as directory:
        async with own_cluster(directory) as (cluster, servers):
            yield cluster, servers, directory


async def test_one_process_overshoots_no_cap(ground: Ground) -> None:
    cluster, servers, directory = ground
    async with running_stack(cluster, servers, directory / "overshoot", workers=1) as stack:
        found = await overshoot.measure(stack, workers=1, journeys=200, seed=1)

    assert found.journeys == 200
    assert found.too_often == 0
    assert sum(found.beyond.values()) == 40 * len(overshoot.CAPS)


async def test_an_audience_arrives_in_both_ways_while_popups_are_asked_for(ground: Ground) -> None:
    cluster, servers, directory = ground
    plan = audience.Plan(rows=20_000, rounds=1, quiet_seconds=0.3)
    async with running_stack(cluster, servers, directory / "audience", workers=2) as stack:
        uploads = await audience.measure(stack, plan, Console(quiet=True))

    assert [(upload.way, upload.members) for upload in uploads] == [(way, plan.rows) for way in audience.WAYS]
    for upload in uploads:
        assert upload.same["during"].answers > 0
        assert upload.other["quiet"].p99 >= upload.other["quiet"].p50 > 0
        assert upload.resident_mib["most"] >= upload.resident_mib["before"] > 0


async def test_what_is_taken_out_disappears_from_every_worker_and_stays_away(ground: Ground) -> None:
    cluster, servers, directory = ground
    plan = pause.Plan(rounds=3, workers=2, campaigns=30, quiet_seconds=0.0)
    async with running_stack(cluster, servers, directory / "pause", workers=plan.workers) as stack:
        found = await pause.measure(stack, plan)

    assert {way: len(delays) for way, delays in found.delays.items()} == dict.fromkeys(pause.WAYS, 2)
    assert found.answers > plan.rounds * plan.workers * plan.answers
    assert found.came_back == 0


async def test_nothing_of_erased_users_comes_back(ground: Ground) -> None:
    cluster, servers, directory = ground
    plan = erasure.Plan(rounds=4, workers=2, phones=10, pause_seconds=0.1, kill_seconds=(0.1, 0.3))
    async with running_stack(cluster, servers, directory / "erasure", workers=plan.workers) as stack:
        found = await erasure.measure(stack, plan)

    assert len(found.quiet) == len(found.killed) == plan.rounds / 2
    assert found.resent >= 3 * 3 * plan.rounds
    assert found.kills
    assert found.acknowledged
    assert (found.lost, found.left) == (0, {})


async def test_a_logged_buffer_loses_nothing_when_all_is_killed_together(ground: Ground) -> None:
    cluster, servers, directory = ground
    losses = double_failure.Losses()
    async with running_stack(
        cluster, servers, directory / "double", workers=2, buffer_persistence="logged"
    ) as stack:
        campaign_id = await stack.create_campaign("any")
        await double_failure.one_round(stack, campaign_id, 0.5, losses)

    assert losses.acknowledged[0] > 0
    assert losses.lost == [0]


async def test_a_failover_under_load_loses_nothing(tmp_path: Path) -> None:
    with servers_directory("tayang-drills-") as directory:
        async with (
            own_cluster(directory) as (cluster, servers),
            running_stack(cluster, servers, directory / "service", workers=2, several_hosts=True) as stack,
        ):
            timeline = await failover.drill(stack, per_second=100, kill_at=1.0, after=1.0)
    picture = tmp_path / "failover.svg"
    from tests.adversity.drills.failover_picture import draw  # noqa: PLC0415  (slow to import)

    draw(timeline, picture)

    assert timeline.acknowledged > 0
    assert (timeline.lost, timeline.doubled) == (0, 0)
    assert timeline.resumed_after("write") < float("inf")
    assert picture.read_text().startswith("<?xml")
