"""Migrations are `.sql` files; Alembic orders them and remembers what has run."""

from pathlib import Path
from typing import Final

from alembic import op

_SQL: Final = Path(__file__).parent / "sql"


def run(name: str) -> None:
    """Execute the statements of a file as they stand: several at once, with no parameters and no escapes."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # it is checked out while the migration runs
    connection.execute((_SQL / name).read_text())
