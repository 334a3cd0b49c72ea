"""`tayang migrate`: bring a database to the newest schema, by Alembic, under an advisory lock."""

from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from maintenance.duty import MIGRATION_DUTY, MaintenanceError

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK_TIMEOUT: Final = "10s"
_CONNECT_SECONDS: Final = 10


def migrate(dsn: str, *, revision: str = "head") -> str:
    """Upgrade (or, for tests, downgrade) to a revision; returns it. Raises MaintenanceError.

    One migration runs at a time; one that can't get a table's lock gives up instead of making
    every query behind it wait.
    """
    engine = _engine(dsn)
    config = _config()
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_DUTY})
            connection.commit()
            config.attributes["connection"] = connection
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
            return current_revision(engine) or "base"
    except (OperationalError, psycopg.Error) as error:
        raise MaintenanceError(f"cannot migrate: {_reason(error)}") from error
    finally:
        engine.dispose()


def current_revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    return config


def _engine(dsn: str) -> Engine:
    """Psycopg connects itself: a DSN may name several hosts, which SQLAlchemy's URLs can't."""

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            dsn,
            connect_timeout=_CONNECT_SECONDS,
            application_name="tayang migrate",
            target_session_attrs="read-write",
        )

    return create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
