"""Who was erased."""

from maintenance.migrations.files import run

revision = "0006_erasures"
down_revision = "0005_keys"


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
