"""The tick and the watermarks have keys in which the newest version comes first."""

from maintenance.migrations.files import run

revision = "0010_newest_first"
down_revision = "0009_stripes"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
