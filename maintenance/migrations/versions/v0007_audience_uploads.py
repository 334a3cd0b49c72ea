"""Audience uploads that can be resumed."""

from maintenance.migrations.files import run

revision = "0007_audience_uploads"
down_revision = "0006_erasures"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
