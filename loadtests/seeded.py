"""A service with the catalog and the counts that most measurements begin with."""

from contextlib import ExitStack

from loadtests.catalog import set_up_catalog
from loadtests.database import Database
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.service import Service


def seeded_service(
    stack: ExitStack, plan: Plan, workers: int, progress: Progress
) -> tuple[Service, Database, list[int]]:
    """With so many api workers, until the stack is closed. The numbers are the campaigns' ids.

    Raises BenchError.
    """
    with progress.step(f"tayang up, {workers} api workers"):
        service = stack.enter_context(Service(workers=workers))
    database = stack.enter_context(Database(service))
    with progress.step(f"50 live campaigns, counts of {plan.users:,} users"):
        campaigns = set_up_catalog(service, plan)
        database.seed(0, plan.users, campaigns)
        database.tidy()
    return service, database, campaigns
