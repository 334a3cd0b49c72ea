"""The drill of hard budgets, short: real processes, many phones, and not one impression too many."""

from pathlib import Path

import pytest

from tests.acceptance.processes import Shell
from tests.adversity.drills.hard_budget import Plan, one_round, running
from tests.support.database import Database

PLAN = Plan(budget=200, users=40, workers=2, half_seconds=6.0)


@pytest.mark.parametrize("all_confirm", [False, True], ids=["half never confirm", "all confirm"])
async def test_a_hard_budget_with_many_phones_at_once(
    database: Database, tmp_path: Path, all_confirm: bool
) -> None:
    shell = Shell(tmp_path / "data", tmp_path)
    try:
        async with running(shell, database.primary_dsn, database.replica_dsn, PLAN.workers) as stack:
            outcome = await one_round(stack, PLAN, "short", all_confirm=all_confirm)
    finally:
        await shell.close()
    assert outcome.good, outcome
    assert outcome.kept_back == 0 if all_confirm else outcome.kept_back > 0
