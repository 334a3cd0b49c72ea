"""The superuser's password: made up once, kept in files only, never in an argument or a log line."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from tayang.embedded.account import Account

USER = "tayang"
PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Credentials:
    """`passfile` (a libpq password file) and `password_file` can be read by the servers' account."""

    password: str
    passfile: Path
    password_file: Path


def load_credentials(data_dir: Path, work_dir: Path, account: Account) -> Credentials:
    """The password of `data_dir`, made up if there is none yet, and the account's copies in `work_dir`."""
    password = _load_password(data_dir / "secrets" / "postgres_password")
    passfile, password_file = work_dir / "pgpass", work_dir / "password"
    account.write(passfile, f"127.0.0.1:*:*:{USER}:{password}\n")
    account.write(password_file, f"{password}\n")
    return Credentials(password, passfile, password_file)


def _load_password(path: Path) -> str:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and (password := path.read_text(encoding="ascii").strip()):
        return password
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    # Renamed into place, so that an interrupted start leaves all of it or nothing.
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    unfinished.write_text(f"{password}\n", encoding="ascii")
    unfinished.replace(path)
    return password
