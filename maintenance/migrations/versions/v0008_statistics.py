"""Counts have statistics of their key only."""

from maintenance.migrations.files import run

revision = "0008_statistics"
down_revision = "0007_audience_uploads"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
