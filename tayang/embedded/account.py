"""Who runs the servers. PostgreSQL refuses root, so root hands them to an unprivileged account."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tayang.embedded.binaries import Binaries
from tayang.embedded.errors import EmbeddedError
from tayang.embedded.processes import run_bounded

ACCOUNT_NAMES = ("postgres", "nobody")
PROBE_TIMEOUT_SECONDS = 10
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
# With one of these the account reaches directories that only root may enter (a checkout below /root, a 0700
# temporary directory). The narrower first; containers often allow only the second.
REACH_CAPABILITIES = ("dac_read_search", "dac_override")
# $0 is the programs' directory, $1 a file to read, $2 a file to write.
PROBE = '"$0"/postgres --version && "$0"/initdb --version && : <"$1" && : >"$2"'


@dataclass(frozen=True)
class Account:
    """How a command is run as the servers' account: `ids` is (uid, gid), None for the invoking user."""

    ids: tuple[int, int] | None
    prefix: tuple[str, ...]

    def spawn(self, command: Sequence[str], *, cwd: Path, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a server, in a session of its own: a terminal's Ctrl-C is for the supervisor, not for it.

        The server gets SIGINT (fast shutdown) when the calling *thread* ends, where the system can do that.
        """
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [*self.prefix, *command],
            cwd=cwd,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._popen_ids(),
        )
        return process

    def run(self, command: Sequence[str], *, cwd: Path, timeout_seconds: float, **variables: str) -> None:
        """Run a program to its end; EmbeddedError has its name and its last lines when it fails."""
        environment = _environment() | variables
        name = Path(command[0]).name
        try:
            code, output = run_bounded(
                [*self.prefix, *command], cwd, environment, timeout_seconds, self._popen_ids()
            )
        except subprocess.TimeoutExpired as error:
            raise EmbeddedError(f"{name} did not end within {timeout_seconds:g} s in {cwd}") from error
        if code != 0:
            lines = "\n".join(output.strip().splitlines()[-10:])
            raise EmbeddedError(f"{name} failed in {cwd} (exit code {code}):\n{lines}")

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`."""
        if self.ids is not None:
            os.chown(path, *self.ids)

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path)

    def write(self, path: Path, text: str) -> None:
        """Replace `path` by a file that only the account (and root) can read."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8")
        self.give(path)

    def _popen_ids(self) -> dict[str, Any]:
        if self.ids is None or self.prefix:
            return {}  # setpriv changes them itself
        return {"user": self.ids[0], "group": self.ids[1], "extra_groups": []}


def choose_account(binaries: Binaries, data_dir: Path, work_dir: Path) -> Account:
    """The account for the servers, tried for real: it runs the programs and writes to `work_dir`.

    `work_dir` is made, and owned by the account. Raises EmbeddedError when no way works.
    """
    for account in _candidates(_identity(data_dir / "primary")):
        account.make_directory(work_dir)
        if _works(account, binaries, work_dir):
            return account
    raise EmbeddedError(
        f"the servers' account can't reach {binaries.directory} and {data_dir};"
        " set TAYANG_DATA_DIR to a directory that every user can enter, run from such a checkout,"
        " or run as an ordinary user"
    )


def _identity(primary: Path) -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    if primary.exists() and primary.stat().st_uid != 0:
        return primary.stat().st_uid, primary.stat().st_gid  # made by an earlier run, maybe not root's
    for name in ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedError(
        f"PostgreSQL does not run as root and none of the accounts {', '.join(ACCOUNT_NAMES)} exists;"
        " run as an ordinary user, or set TAYANG_PRIMARY_DSN"
    )


def _candidates(ids: tuple[int, int] | None) -> Iterator[Account]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        yield Account(ids, ())
        return
    drop = () if ids is None else ("--reuid", str(ids[0]), "--regid", str(ids[1]), "--clear-groups")
    # Without it the servers would outlive a supervisor that was killed.
    start = (setpriv, "--pdeathsig", "INT", *drop)
    yield Account(ids, (*start, "--"))
    yield Account(ids, ())
    for capability in REACH_CAPABILITIES if ids is not None else ():
        # PostgreSQL looks at its own programs with access(2), which ignores capabilities of a user who isn't
        # root unless no_setuid_fixup is set.
        reach = ("--inh-caps", f"+{capability}", "--ambient-caps", f"+{capability}")
        yield Account(ids, (*start, *reach, "--securebits", "+no_setuid_fixup", "--"))


def _works(account: Account, binaries: Binaries, work_dir: Path) -> bool:
    written = work_dir / "probe"
    command = ("/bin/sh", "-c", PROBE, str(binaries.directory), str(binaries.catalog_file), str(written))
    try:
        account.run(command, cwd=work_dir, timeout_seconds=PROBE_TIMEOUT_SECONDS)
    except (EmbeddedError, OSError, subprocess.SubprocessError):
        return False
    finally:
        written.unlink(missing_ok=True)
    return True


def _environment() -> dict[str, str]:
    # Nothing else of ours: PG* variables would change the servers, and TAYANG_* ones are secrets.
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
