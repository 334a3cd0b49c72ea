"""Making the two data directories: one that was not finished is made again, one that isn't ours refused."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tayang.embedded.binaries import Binaries
from tayang.embedded.config import include_settings
from tayang.embedded.credentials import USER
from tayang.embedded.errors import EmbeddedError
from tayang.embedded.node import Node, Site

INITDB_SECONDS = 120.0
BASE_BACKUP_SECONDS = 1800.0


def is_missing(directory: Path) -> bool:
    """True when the directory must be made: it is empty, or its making was interrupted.

    Raises EmbeddedError for a directory with something else in it, which nobody asked us to remove.
    """
    if _unfinished(directory).exists() or not directory.exists() or not any(directory.iterdir()):
        return True
    if not (directory / "PG_VERSION").exists():
        raise EmbeddedError(
            f"{directory} is neither empty nor a PostgreSQL data directory;"
            " move it away, or set TAYANG_DATA_DIR to another directory"
        )
    return False


def version_of(directory: Path) -> str:
    """PostgreSQL's version that the data directory is for, such as "18"."""
    return (directory / "PG_VERSION").read_text(encoding="ascii").strip()


def refuse_other_version(directory: Path, binaries: Binaries) -> None:
    if (found := version_of(directory)) != str(binaries.major):
        raise EmbeddedError(
            f"{directory} is from PostgreSQL {found}, but the programs are PostgreSQL {binaries.major};"
            " move it away, or set TAYANG_DATA_DIR to another directory"
        )


def create_primary(node: Node, site: Site, *, durable: bool) -> None:
    with _made_anew(node, site):
        command = (
            site.binaries.path("initdb"),
            *("--pgdata", str(node.directory)),
            *("--username", USER),
            *("--pwfile", str(site.credentials.password_file)),
            *("--auth", "scram-sha-256"),
            *("--encoding", "UTF8"),
            "--no-locale",
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *(() if durable else ("--no-sync",)),
        )
        site.account.run(command, cwd=node.directory, timeout_seconds=INITDB_SECONDS)
        include_settings(node.directory)


def create_replica(node: Node, site: Site, *, durable: bool, primary_port: int, slot: str) -> None:
    """Copy the primary. Without -R: it would write a port that is wrong at the next start."""
    with _made_anew(node, site):
        command = (
            site.binaries.path("pg_basebackup"),
            *("--pgdata", str(node.directory)),
            *("--host", "127.0.0.1", "--port", str(primary_port), "--username", USER, "--no-password"),
            *("--wal-method", "stream", "--slot", slot, "--checkpoint", "fast"),
            "--no-manifest",
            *(() if durable else ("--no-sync",)),
        )
        passfile = str(site.credentials.passfile)
        site.account.run(
            command, cwd=node.directory, timeout_seconds=BASE_BACKUP_SECONDS, PGPASSFILE=passfile
        )
        site.account.write(node.directory / "standby.signal", "")


def can_follow(replica: Path, primary: Path) -> bool:
    """Is `replica` a standby (not promoted) made from this very primary?"""
    return (
        (replica / "standby.signal").exists()
        and version_of(replica) == version_of(primary)
        and _system_identifier(replica) == _system_identifier(primary)
    )


@contextmanager
def _made_anew(node: Node, site: Site) -> Iterator[None]:
    # The mark is outside, because initdb and pg_basebackup want an empty directory, and goes last.
    mark = _unfinished(node.directory)
    mark.touch(mode=0o600)
    node.clear_leftovers()
    if node.directory.exists():
        shutil.rmtree(node.directory)
    site.account.make_directory(node.directory)
    yield
    mark.unlink()


def _unfinished(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.unfinished")


def _system_identifier(directory: Path) -> bytes:
    # The first 8 bytes of the control file since PostgreSQL 8; initdb makes it up, a copy keeps it.
    with (directory / "global" / "pg_control").open("rb") as file:
        return file.read(8)
