"""What a command loads before it does anything: cron runs `tayang merge`, and people wait for the others."""

import subprocess
import sys

#: Half a second of CPU and more, all together; whoever needs one of them imports it when it is needed.
_SLOW = {"aiohttp", "alembic", "jwt", "psycopg", "rich", "sqlalchemy"}
_LOADED = (
    "import sys, tayang.cli, tayang.process, tayang.database_check, maintenance.loop; print(*sys.modules)"
)


def test_commands_and_maintenance_load_nothing_slow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert {"tayang.cli", "maintenance.merge"} <= loaded
    assert loaded & _SLOW == set()
