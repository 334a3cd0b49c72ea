"""Budgets of campaigns, and the leases by which hard ones are kept."""

from maintenance.migrations.files import run

revision = "0002_budgets"
down_revision = "0001_initial"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
