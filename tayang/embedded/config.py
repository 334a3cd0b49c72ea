"""The servers' settings: `tayang.conf`, included from postgresql.conf and written again at each start."""

from pathlib import Path

FILE_NAME = "tayang.conf"
SLOT = "replica_1"

# For development on 2 cores. `ALTER SYSTEM` wins over all of it.
COMMON = """\
# Written by `tayang up` at each start. Use ALTER SYSTEM for settings of your own.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 100
jit = off
timezone = 'UTC'
log_timezone = 'UTC'

wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
max_slot_wal_keep_size = '2GB'
min_wal_size = '64MB'
max_wal_size = '2GB'
checkpoint_timeout = '5min'
autovacuum = on

hot_standby = on
hot_standby_feedback = on
max_standby_streaming_delay = '500ms'
wal_receiver_status_interval = '1s'
wal_retrieve_retry_interval = '200ms'
wal_receiver_timeout = '10s'

log_destination = 'stderr'
logging_collector = off
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] %a '
"""

# A crash of PostgreSQL loses nothing with these (the operating system has the pages), a machine's may.
NOT_DURABLE = """
fsync = off
full_page_writes = off
# In the data directory, which is removed; in /dev/shm the segments of a killed server stay for good.
dynamic_shared_memory_type = mmap
"""


def primary_settings(port: int, *, durable: bool, shared_buffers_mib: int) -> str:
    own = f"port = {port}\nshared_buffers = '{shared_buffers_mib}MB'\n"  # PostgreSQL's MB has 2^20 bytes
    return f"{COMMON}{'' if durable else NOT_DURABLE}\n{own}"


def replica_settings(
    port: int, *, durable: bool, shared_buffers_mib: int, primary_port: int, user: str, passfile: Path
) -> str:
    """The replica's settings; the password stays in `passfile`."""
    conninfo = (
        f"host=127.0.0.1 port={primary_port} user={user} passfile={_quoted(passfile)}"
        f" application_name={SLOT} connect_timeout=5 sslmode=disable gssencmode=disable"
    )
    return (
        primary_settings(port, durable=durable, shared_buffers_mib=shared_buffers_mib)
        + f"primary_conninfo = {_quoted(conninfo)}\n"
        + f"primary_slot_name = '{SLOT}'\n"
    )


def include_settings(directory: Path) -> None:
    """Make the server in `directory` read our file after everything else in postgresql.conf."""
    with (directory / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude = '{FILE_NAME}'\n")


def _quoted(value: object) -> str:
    # Both conninfo and postgresql.conf take \\ for a backslash and \' for a quote.
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
