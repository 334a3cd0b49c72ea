"""${message}"""

from maintenance.migrations.files import run

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    run(f"{revision}.up.sql")


def downgrade() -> None:
    run(f"{revision}.down.sql")
