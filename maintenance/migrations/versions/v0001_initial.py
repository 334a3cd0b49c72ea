"""The first schema."""

from maintenance.migrations.files import run

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
