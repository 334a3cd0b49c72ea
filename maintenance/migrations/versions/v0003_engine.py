"""What the delivery engine decides by, and what it tells."""

from maintenance.migrations.files import run

revision = "0003_engine"
down_revision = "0002_budgets"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
