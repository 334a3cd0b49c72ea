"""What reports read."""

from maintenance.migrations.files import run

revision = "0004_reports"
down_revision = "0003_engine"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
