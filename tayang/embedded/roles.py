"""Which of the two directories holds the primary: after a failover it is the one called replica/.

The directories keep their names, since a server that runs in one can't be moved. A file says which
one is the primary; there is none before the first failover.
"""

from pathlib import Path
from typing import Final

from tayang.embedded.errors import EmbeddedError

DIRECTORIES: Final = ("primary", "replica")


def load_primary_name(data_dir: Path) -> str:
    """The name of the primary's directory. Raises EmbeddedError if the file or the directory is damaged."""
    path = _role_file(data_dir)
    if not path.exists():
        return DIRECTORIES[0]
    name = path.read_text(encoding="utf-8").strip()
    if name not in DIRECTORIES:
        raise EmbeddedError(
            f"{path} names neither of the directories {' and '.join(DIRECTORIES)}; correct it"
        )
    if not (data_dir / name / "PG_VERSION").exists():
        # The other one has an older state: to go on with it silently would lose what came after.
        raise EmbeddedError(
            f"{path} says that the primary is in {data_dir / name}, but there is none;"
            " put it back, or remove the file to go on with the other directory's older state"
        )
    return name


def store_primary_name(data_dir: Path, name: str) -> None:
    """Renamed into place, so that it is there wholly or not at all."""
    unfinished = _role_file(data_dir).with_suffix(".new")
    unfinished.write_text(f"{name}\n", encoding="utf-8")
    unfinished.replace(_role_file(data_dir))


def _role_file(data_dir: Path) -> Path:
    return data_dir / "primary_directory"
