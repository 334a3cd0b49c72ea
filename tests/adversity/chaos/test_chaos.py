"""The short version of `make chaos`, and proof that it would see a loss and a double."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tayang.embedded import EmbeddedCluster
from tests.acceptance.processes import ROOT
from tests.adversity.chaos.attacks import ATTACKS
from tests.adversity.chaos.plan import Round, plan
from tests.adversity.chaos.processes import Sabotage, running_rig
from tests.adversity.chaos.report import figures
from tests.adversity.chaos.rounds import Outcome, Trial
from tests.adversity.ground import Servers, own_cluster
from tests.support.directories import servers_directory
from tests.support.waiting import until

#: The servers of all runs here, and where they and the services have their files.
Ground = tuple[EmbeddedCluster, Servers, Path]
#: Longer than the wait for a read (0.5 s) and the probe of an idle flusher (0.2 s) there.
_LONGEST_ATTACK_SECONDS = 0.7


@pytest.fixture(scope="module")
async def ground() -> AsyncIterator[Ground]:
    with servers_directory("tayang-chaos-") as directory:
        async with own_cluster(directory) as (cluster, servers):
            yield cluster, servers, directory


async def _play(
    ground: Ground, rounds: list[Round], *, sabotage: Sabotage = "none", quiet_seconds: float = 5.0
) -> list[Outcome]:
    cluster, servers, directory = ground
    async with running_rig(
        cluster, servers, directory, database=f"under_{sabotage}", sabotage=sabotage
    ) as rig:
        trial = Trial(rig, longest_attack_seconds=_LONGEST_ATTACK_SECONDS, quiet_seconds=quiet_seconds)
        await trial.warm_up(rounds)
        return [await trial.play(planned) for planned in rounds]


@pytest.mark.timeout(400)
async def test_no_attack_loses_or_doubles_an_impression(ground: Ground) -> None:
    rounds = plan(seed=1, rounds=len(ATTACKS))
    assert {planned.attack for planned in rounds} == ATTACKS.keys()

    outcomes = await _play(ground, rounds)

    assert [(outcome.complaints, outcome.diagnosis) for outcome in outcomes if not outcome.passed] == []
    total = figures(outcomes)
    assert total["counted"] >= total["acked"] > 20 * len(rounds)
    assert total["sent again"] > 0, "no attack has hit a buffer"


@pytest.mark.timeout(200)
async def test_without_retransmission_it_sees_losses(ground: Ground) -> None:
    rounds = plan(seed=2, rounds=2, only=["kill-backend"])

    outcomes = await _play(ground, rounds, sabotage="no-retransmission", quiet_seconds=0.5)

    total = figures(outcomes)
    assert total["lost"] > 0
    assert total["doubled"] == total["unsent"] == 0
    assert not any(outcome.stuck for outcome in outcomes)


@pytest.mark.timeout(200)
async def test_without_the_logs_key_it_sees_doubles(ground: Ground) -> None:
    rounds = plan(seed=1, rounds=2, only=["cut-copy"])

    outcomes = await _play(ground, rounds, sabotage="no-uniqueness")

    total = figures(outcomes)
    assert total["doubled"] > 0
    assert total["lost"] == total["unsent"] == 0
    assert not any(outcome.stuck for outcome in outcomes)


async def test_ctrl_c_ends_the_command_and_leaves_nothing(tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    with printed.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.adversity.chaos", "--rounds", "50", "--only", "kill-worker"),
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        await until(lambda: " ok " in printed.read_text(), "a round is over", seconds=60)
        started = _descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        async with asyncio.timeout(60):
            assert await process.wait() == 130, printed.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Stopped after" in printed.read_text()
    assert not [each for each in started if each.is_running()]


def _descendants(pid: int) -> list[psutil.Process]:
    """The service's and the servers': at least a supervisor, two workers, maintenance, two postmasters."""
    found = psutil.Process(pid).children(recursive=True)
    assert len(found) >= 6
    return list(found)


def test_a_seed_plans_the_same_rounds_again() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) != plan(8, 60)
    assert [planned.dice("load").random() for planned in plan(7, 5)] == [
        planned.dice("load").random() for planned in plan(7, 5)
    ]


def test_every_attack_comes_several_times_in_200_rounds() -> None:
    attacks = [planned.attack for planned in plan(1, 200)]
    assert {attack: attacks.count(attack) >= 8 for attack in ATTACKS} == dict.fromkeys(ATTACKS, True)
