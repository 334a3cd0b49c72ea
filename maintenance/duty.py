"""What every duty shares: statements from files, and the locks by which duties keep apart."""

from pathlib import Path
from typing import Final

_SQL: Final = Path(__file__).parent / "sql"

#: Session advisory locks, "taya" and a number. Whoever merges holds MERGE_LOCK; a second one stands by.
MERGE_LOCK: Final = 0x7461_7961_0001
PARTITION_LOCK: Final = 0x7461_7961_0002
MIGRATION_LOCK: Final = 0x7461_7961_0003


class MaintenanceError(Exception):
    """A duty can't be done; the message says what to do."""


def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_SQL / f"{name}.sql").read_text()
