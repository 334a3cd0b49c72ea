"""What every duty shares: statements from files, and the locks by which duties keep apart."""

from pathlib import Path
from typing import Final

from buffer import contract

_SQL: Final = Path(__file__).parent / "sql"

#: Advisory locks, "taya" and a number. MERGE_LOCK is held by the transaction of one merge; the others
#: by the session that is on a duty, beside which a second one stands by.
MERGE_LOCK: Final = contract.MERGE_LOCK
PARTITION_DUTY: Final = 0x7461_7961_0002
MIGRATION_DUTY: Final = 0x7461_7961_0003
MERGE_DUTY: Final = 0x7461_7961_0004
ERASURE_DUTY: Final = 0x7461_7961_0005


class MaintenanceError(Exception):
    """A duty can't be done; the message says what to do."""


def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_SQL / f"{name}.sql").read_text()
