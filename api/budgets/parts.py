"""The parts that keep hard budgets, made from the settings."""

from collections.abc import Callable
from datetime import timedelta

from api.budgets.keeper import LeaseKeeper
from api.budgets.ledger import Ledger
from api.budgets.session import Session
from api.budgets.uses import UseQueue
from api.campaigns.catalog import Catalog
from api.config import ApiConfig
from api.database import writer_connection
from buffer.primary import Primary


def lease_keeper(
    config: ApiConfig, primary: Primary, instance: int, catalog: Callable[[], Catalog]
) -> LeaseKeeper:
    """A lease stays open until the last popup that was served with it can't be on its way any more."""
    settling = timedelta(seconds=config.max_staleness_seconds + config.budget_grace_seconds)
    return LeaseKeeper(
        _session(config, primary, "leases"),
        Ledger(instance, settling),
        catalog,
        lease_seconds=config.budget_lease_seconds,
        grace_seconds=config.budget_grace_seconds,
        open_seconds=config.budget_lease_seconds + config.show_within_seconds + config.budget_grace_seconds,
        max_units=config.budget_lease_max_units,
    )


def use_queue(config: ApiConfig, primary: Primary) -> UseQueue:
    return UseQueue(
        _session(config, primary, "budget uses"),
        max_uses=config.budget_queue_max_uses,
        batch_max_uses=config.budget_batch_max_uses,
    )


def _session(config: ApiConfig, primary: Primary, name: str) -> Session:
    connect = writer_connection(primary, name=f"{name} {config.worker}")
    return Session(connect, timeout_seconds=config.database_timeout_seconds)
