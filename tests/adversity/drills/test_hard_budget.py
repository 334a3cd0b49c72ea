"""The drill of hard budgets, short: real processes, many phones, and not one impression too many."""

from pathlib import Path

from tests.acceptance.processes import Shell
from tests.adversity.drills.hard_budget import Plan, one_round, running
from tests.support.database import Database

#: Half of the phones keep back what they were served: in 3 s the others have spent what they can get at all,
#: since nothing comes back in less than 6 s (SHOW_WITHIN_SECONDS, and the lease and its grace).
PLAN = Plan(budget=200, users=40, workers=2, half_seconds=3.0)


async def test_a_hard_budget_with_many_phones_at_once(database: Database, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "data", tmp_path)
    try:
        async with running(shell, database.primary_dsn, database.replica_dsn, PLAN.workers) as stack:
            all_confirm = await one_round(stack, PLAN, "all", all_confirm=True)
            half = await one_round(stack, PLAN, "half", all_confirm=False)
    finally:
        await shell.close()
    assert all_confirm.good, all_confirm
    assert all_confirm.kept_back == 0
    assert half.good, half
    assert half.kept_back > 0
