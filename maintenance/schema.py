"""Whether a database has the schema that this code expects.

Every process asks at its start, `tayang merge` each time that cron runs it: without Alembic and SQLAlchemy,
whose imports take longer than all else that they do.
"""

from pathlib import Path
from typing import Final

import asyncpg

from maintenance.duty import MaintenanceError, statement

_MIGRATIONS: Final = Path(__file__).parent / "migrations" / "sql"
_UP: Final = ".up.sql"


async def check_schema(connection: asyncpg.Connection) -> None:
    """Raises MaintenanceError if the database is not at the revision that this code expects."""
    try:
        found = await connection.fetchval(statement("schema_revision"))
    except asyncpg.UndefinedTableError:
        found = None
    wanted = newest_revision()
    if found != wanted:
        raise MaintenanceError(
            f"the schema is at {found or 'nothing'}, this version needs {wanted}: run 'tayang migrate'"
        )


def newest_revision() -> str:
    """The revision that this code expects. Migrations are numbered: the last name is Alembic's head."""
    return max(path.name for path in _MIGRATIONS.glob(f"*{_UP}")).removesuffix(_UP)
