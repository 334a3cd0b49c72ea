"""The primary and its replica, started, stopped and repaired together."""

import logging
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psycopg

from tayang.embedded.account import choose_account
from tayang.embedded.binaries import find_binaries
from tayang.embedded.config import SLOT, primary_settings, replica_settings
from tayang.embedded.creation import (
    can_follow,
    create_primary,
    create_replica,
    is_missing,
    refuse_other_version,
)
from tayang.embedded.credentials import USER, load_credentials
from tayang.embedded.errors import EmbeddedError
from tayang.embedded.lock import DirectoryLock
from tayang.embedded.node import Node, Site
from tayang.embedded.processes import wait_until
from tayang.embedded.queries import query
from tayang.embedded.roles import load_primary_name, store_primary_name
from tayang.embedded.slot import is_true, renew_slot

logger = logging.getLogger(__name__)

STREAMING_SECONDS = 10.0
SLOT_RELEASE_SECONDS = 10.0

#: What happens to the primary at a failover: a crash, an orderly stop, or it hangs with its connections open.
PrimaryEnd = Literal["kill", "stop", "suspend"]


class EmbeddedCluster:
    """Two servers under `data_dir`, on 127.0.0.1 only.

    `durable=False` is for tests: a crash of the machine may then damage the data, that of a server doesn't.
    `binaries_dir` is the `bin` directory of another PostgreSQL than the installed package's.

    Call `start()` from a thread that lives as long as the servers shall: they stop when it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        shared_buffers_mib: int = 256,
        binaries_dir: Path | None = None,
    ) -> None:
        # Resolved, because the servers work elsewhere, and because their processes are told by this path.
        self.data_dir = data_dir.resolve()
        self.primary = Node("primary", self.data_dir)
        self.replica = Node("replica", self.data_dir)
        self._durable = durable
        self._shared_buffers_mib = shared_buffers_mib
        self._binaries_dir = binaries_dir
        self._site: Site | None = None
        self._lock: DirectoryLock | None = None

    def start(self) -> None:
        """Make what is missing, start both servers, and return when the replica streams.

        Raises EmbeddedError; then, and after an interrupt, nothing is left running.
        """
        try:
            if self._lock is None:
                self._make_data_dir()
                self._lock = DirectoryLock(self.data_dir)
                self._prepare()
            self._start_primary()
            self._start_replica()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"{_reason(error)}; set TAYANG_DATA_DIR to a directory of yours") from error
        except psycopg.Error as error:
            self.stop()
            raise EmbeddedError(f"{str(error).strip()}; see {self.primary.log_file}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the replica, then the primary, and let go of the directory."""
        if self._lock is None:
            return  # what runs in the directory is another's
        with ExitStack() as steps:  # run from the last to the first, each also when another one fails
            steps.callback(self._release_lock, self._lock)
            if self._site is not None:  # a directory that was refused may have somebody's server in it
                steps.callback(self.primary.stop)
                steps.callback(self.replica.stop)

    def fail_over(self, end: PrimaryEnd = "kill") -> None:
        """End the primary and promote the replica; `primary` and `replica` are swapped when this returns.

        The new `replica` is then what is left of the old primary, until `rejoin()`. To `start()` that node
        (or to `resume()` it) brings a stray primary back, which is what a missing fence means.
        """
        {"kill": self.primary.kill, "stop": self.primary.stop, "suspend": self.primary.suspend}[end]()
        self.replica.promote()
        store_primary_name(self.data_dir, self.replica.name)
        self.primary, self.replica = self.replica, self.primary

    def rejoin(self) -> None:
        """The old primary comes back as the replica, copied anew from the new one; returns when it streams.

        Call it where `start()` may be called. Raises EmbeddedError.
        """
        self._start_replica()

    def _release_lock(self, lock: DirectoryLock) -> None:
        lock.release()
        self._lock = None

    @property
    def password(self) -> str:
        return self._require_site().credentials.password

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_data_dir(self) -> None:
        if not self.data_dir.exists():
            self.data_dir.mkdir(parents=True, mode=0o700)
            if os.geteuid() == 0:
                self.data_dir.chmod(0o711)  # the servers' account passes through

    def _prepare(self) -> None:
        binaries = find_binaries(self._binaries_dir)
        if load_primary_name(self.data_dir) != self.primary.name:
            self.primary, self.replica = self.replica, self.primary
        # Both looked at before anything is changed.
        missing = [node.name for node in (self.primary, self.replica) if is_missing(node.directory)]
        if self.primary.name not in missing:
            refuse_other_version(self.primary.directory, binaries)
        work_dir = self.data_dir / "run"
        account = choose_account(binaries, self.data_dir, work_dir)
        self._site = Site(account, binaries, load_credentials(self.data_dir, work_dir, account))
        for node in (self.primary, self.replica):
            node.prepare(self._site, partial(self._settings, node))

    def _settings(self, node: Node, port: int) -> str:
        if node is self.primary:
            return primary_settings(port, durable=self._durable, shared_buffers_mib=self._shared_buffers_mib)
        return replica_settings(
            port,
            durable=self._durable,
            shared_buffers_mib=self._shared_buffers_mib,
            primary_port=self.primary.port,
            user=USER,
            passfile=self._require_site().credentials.passfile,
        )

    def _start_primary(self) -> None:
        if is_missing(self.primary.directory):
            create_primary(self.primary, self._require_site(), durable=self._durable)
        self.primary.start()
        with self.primary.connect("postgres") as connection:
            if not is_true(connection, "database_exists"):
                connection.execute(query("create_database"))

    def _start_replica(self) -> None:
        with self.primary.connect("postgres") as connection:
            new = renew_slot(connection) or self._replica_is_unusable()
            if not new and self._follows(connection):
                return
            if not new:
                logger.warning("the replica can't follow the primary any more; copying the primary again")
            self.replica.stop()
            wait_until(lambda: not is_true(connection, "slot_is_active"), SLOT_RELEASE_SECONDS)
            create_replica(
                self.replica,
                self._require_site(),
                durable=self._durable,
                primary_port=self.primary.port,
                slot=SLOT,
            )
            self.replica.start()
            if not wait_until(lambda: is_true(connection, "replica_streams"), STREAMING_SECONDS):
                raise EmbeddedError(
                    f"the new replica does not follow the primary; see {self.replica.log_file}"
                )

    def _follows(self, connection: psycopg.Connection[object]) -> bool:
        try:
            self.replica.start()
        except EmbeddedError as error:
            logger.warning("%s", error)
            return False
        return wait_until(lambda: is_true(connection, "replica_streams"), STREAMING_SECONDS)

    def _replica_is_unusable(self) -> bool:
        replica = self.replica.directory
        return is_missing(replica) or not can_follow(replica, self.primary.directory)

    def _require_site(self) -> Site:
        if self._site is None:
            raise EmbeddedError(f"the servers in {self.data_dir} are not set up: start the cluster first")
        return self._site


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
