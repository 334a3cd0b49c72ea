"""Sums that nearly every merge adds to are spread over 64 rows."""

from maintenance.migrations.files import run

revision = "0009_stripes"
down_revision = "0008_statistics"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
