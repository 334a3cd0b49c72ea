"""API keys with scopes."""

from maintenance.migrations.files import run

revision = "0005_keys"
down_revision = "0004_reports"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
