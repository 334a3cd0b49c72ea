"""The embedded servers, for real: every test starts PostgreSQL in a directory of its own."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from tayang.embedded import EmbeddedCluster, EmbeddedError, Node
from tayang.embedded.processes import POLL_SECONDS, wait_until, working_in
from tests.support.nodes import execute, sees

ENDED_SECONDS = 20.0
REACHED_SECONDS = 30.0
# A supervisor that starts the servers, says so, and then waits to be killed.
SUPERVISOR = """
import sys
from pathlib import Path
from tayang.embedded import EmbeddedCluster
EmbeddedCluster(Path(sys.argv[1]), durable=False).start()
print("ready", flush=True)
sys.stdin.read()
"""

MakeCluster = Callable[[], EmbeddedCluster]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Removed (pytest keeps it for three runs), but at the end: ext4 makes files slowly after a removal."""
    directory = tmp_path_factory.mktemp("embedded")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def data_dir(workspace: Path) -> Path:
    return workspace / uuid4().hex


@pytest.fixture
def make_cluster(data_dir: Path) -> Iterator[MakeCluster]:
    made: list[EmbeddedCluster] = []

    def make() -> EmbeddedCluster:
        made.append(EmbeddedCluster(data_dir, durable=False))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def stopped(stopped_once: Path, data_dir: Path) -> Path:
    """`data_dir` with a cluster in it that was started and stopped: quicker than making one each time."""
    subprocess.run(["cp", "-a", str(stopped_once), str(data_dir)], check=True, timeout=REACHED_SECONDS)
    return data_dir


@pytest.fixture(scope="module")
def stopped_once(workspace: Path) -> Path:
    with EmbeddedCluster(workspace / "stopped", durable=False) as cluster:
        return cluster.data_dir


@pytest.fixture(scope="module")
def running(workspace: Path) -> Iterator[EmbeddedCluster]:
    """One cluster for the tests that leave it running."""
    with EmbeddedCluster(workspace / "running", durable=False, shared_buffers_mib=48) as cluster:
        yield cluster


def test_each_server_has_the_shared_buffers_that_are_set(running: EmbeddedCluster) -> None:
    for node in (running.primary, running.replica):
        assert execute(node, "SHOW shared_buffers") == "48MB"


def test_replica_streams(running: EmbeddedCluster) -> None:
    execute(running.primary, "CREATE TABLE streamed AS SELECT 1 AS number")
    assert sees(running.replica, "streamed", 1)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        execute(running.replica, "INSERT INTO streamed VALUES (2)")


def test_nobody_enters_without_the_password(running: EmbeddedCluster) -> None:
    dsn = running.primary.dsn().replace(running.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn)


def test_password_is_in_no_argument_and_no_log(running: EmbeddedCluster) -> None:
    for node in (running.primary, running.replica):
        arguments = [" ".join(process.cmdline()) for process in working_in(node.directory)]
        assert len(arguments) > 1
        assert not any(running.password in line for line in arguments)
        assert running.password not in node.log_file.read_text()
    assert (running.data_dir / "secrets" / "postgres_password").stat().st_mode & 0o777 == 0o600


def test_locked_directory_is_refused_and_left_alone(running: EmbeddedCluster) -> None:
    second = EmbeddedCluster(running.data_dir, durable=False)
    with pytest.raises(EmbeddedError, match=r"in use by another tayang .*TAYANG_DATA_DIR"):
        second.start()
    second.stop()
    assert execute(running.primary, "SELECT 1") == 1


def test_killed_primary_recovers_on_its_port(running: EmbeddedCluster) -> None:
    execute(running.primary, "CREATE TABLE kept AS SELECT 1 AS number")
    execute(running.primary, "CREATE UNLOGGED TABLE emptied AS SELECT 1 AS number")
    port, children = running.primary.port, tree(running.primary)
    running.primary.kill()
    assert not alive(children)
    assert not running.primary.running()
    running.primary.start()
    assert running.primary.port == port
    assert execute(running.primary, "SELECT count(*) FROM kept") == 1
    assert execute(running.primary, "SELECT count(*) FROM emptied") == 0  # it was a crash
    execute(running.primary, "CREATE TABLE after_kill AS SELECT 1 AS number")
    assert sees(running.replica, "after_kill", 1)


def test_suspended_primary_answers_after_resume(running: EmbeddedCluster) -> None:
    with running.primary.connect() as open_before:
        running.primary.suspend()
        try:
            assert running.primary.running()
            assert {process.status() for process in tree(running.primary)} == {psutil.STATUS_STOPPED}
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                psycopg.connect(running.primary.dsn(), connect_timeout=2)
        finally:
            running.primary.resume()
        assert open_before.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.usefixtures("stopped")
def test_restart_keeps_data_and_stop_leaves_no_process(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start()
    execute(cluster.primary, "CREATE TABLE kept AS SELECT 1 AS number")
    processes = tree(cluster.primary) + tree(cluster.replica)
    cluster.replica.suspend()
    cluster.stop()
    assert not alive(processes)
    cluster.stop()
    replica_made = control_file(cluster.replica).stat().st_ino

    again = make_cluster()
    again.start()
    assert again.password == cluster.password
    assert execute(again.primary, "SELECT count(*) FROM kept") == 1
    assert sees(again.replica, "kept", 1)
    assert control_file(again.replica).stat().st_ino == replica_made, "the replica was copied anew"


def test_other_version_is_refused(data_dir: Path) -> None:
    (data_dir / "primary").mkdir(parents=True)
    (data_dir / "primary" / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match=r"PostgreSQL 15, but .* PostgreSQL 18; .*TAYANG_DATA_DIR"):
        EmbeddedCluster(data_dir).start()
    assert (data_dir / "primary" / "PG_VERSION").exists()


@pytest.mark.parametrize("name", ["primary", "replica"])
def test_directory_of_somebody_else_is_refused(make_cluster: MakeCluster, data_dir: Path, name: str) -> None:
    (data_dir / name).mkdir(parents=True)
    (data_dir / name / "photo.jpg").touch()
    with pytest.raises(EmbeddedError, match="neither empty nor a PostgreSQL data directory"):
        make_cluster().start()
    assert (data_dir / name / "photo.jpg").exists()
    assert not working_in(data_dir / "primary")


@pytest.mark.parametrize(("name", "number"), [("primary", signal.SIGINT), ("replica", signal.SIGKILL)])
def test_interrupted_first_start(
    make_cluster: MakeCluster, data_dir: Path, name: str, number: signal.Signals
) -> None:
    """Stopped within initdb or the base backup: nothing keeps running, and the next start does it again."""
    mark = data_dir / f"{name}.unfinished"
    with supervisor(data_dir) as process:
        # Something was written, so the program is at work.
        wrote = wait_until(lambda: mark.exists() and any((data_dir / name).glob("*")), REACHED_SECONDS)
        assert wrote
        process.send_signal(number)
        process.wait(ENDED_SECONDS)
        assert mark.exists()
        assert wait_until(lambda: not nodes_working_in(data_dir), ENDED_SECONDS)
    cluster = make_cluster()
    cluster.start()
    assert not mark.exists()
    execute(cluster.primary, "CREATE TABLE streamed AS SELECT 1 AS number")
    assert sees(cluster.replica, "streamed", 1)


def test_servers_end_with_a_killed_supervisor(make_cluster: MakeCluster, stopped: Path) -> None:
    with supervisor(stopped) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(nodes_working_in(stopped)) > 2
        process.kill()
        assert wait_until(lambda: not nodes_working_in(stopped), ENDED_SECONDS)
    make_cluster().start()


@pytest.mark.usefixtures("stopped")
def test_leftover_servers_are_taken_over(make_cluster: MakeCluster) -> None:
    old = make_cluster()
    old.start()
    execute(old.primary, "CREATE TABLE kept AS SELECT 1 AS number")
    processes = tree(old.primary) + tree(old.replica)
    # Where a server can't be tied to its supervisor's life it is still there, but the lock is free.
    assert old._lock is not None
    old._lock.release()
    old._lock = None

    new = make_cluster()
    new.start()
    assert not alive(processes)
    assert execute(new.primary, "SELECT count(*) FROM kept") == 1
    for node in (old.primary, old.replica):
        node._reap()  # as their parent, which would be gone


@pytest.mark.usefixtures("stopped")
def test_stale_pid_file_of_a_living_process(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start()
    pid_file = cluster.primary.directory / "postmaster.pid"
    text = pid_file.read_text()
    cluster.primary.kill()
    cluster.stop()
    # After a restart of a container the number is another process's, of the same account.
    assert cluster._site is not None
    with cluster._site.account.spawn(("sleep", "600"), cwd=Path("/"), output=subprocess.DEVNULL) as stranger:
        pid_file.write_text(text.replace(text.splitlines()[0], str(stranger.pid), 1))
        try:
            make_cluster().start()
        finally:
            stranger.kill()


@pytest.mark.usefixtures("stopped")
def test_promoted_replica_is_made_anew(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start()
    cluster.replica.promote()
    execute(cluster.replica, "CREATE TABLE strayed AS SELECT 1 AS number")
    cluster.stop()

    again = make_cluster()
    again.start()
    assert execute(again.replica, "SELECT pg_is_in_recovery()") is True
    assert execute(again.replica, "SELECT to_regclass('strayed')") is None


@pytest.mark.usefixtures("stopped")
def test_replica_without_its_slot_is_made_anew(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start()
    cluster.replica.stop()
    execute(cluster.primary, "SELECT pg_drop_replication_slot('replica_1')")
    cluster.stop()
    made = control_file(cluster.replica).stat().st_ino

    again = make_cluster()
    again.start()
    assert control_file(again.replica).stat().st_ino != made
    execute(again.primary, "CREATE TABLE streamed AS SELECT 1 AS number")
    assert sees(again.replica, "streamed", 1)


@pytest.mark.usefixtures("stopped")
def test_failed_start_shows_the_log(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start()
    cluster.stop()
    with (cluster.primary.directory / "postgresql.conf").open("a") as file:
        file.write("work_mem = 'plenty'\n")
    with pytest.raises(EmbeddedError, match=r"(?s)primary did not start, see .*work_mem"):
        make_cluster().start()
    assert not nodes_working_in(cluster.data_dir)


def tree(node: Node) -> list[psutil.Process]:
    postmaster = psutil.Process(node.pid)
    return [postmaster, *postmaster.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, still = psutil.wait_procs(processes, timeout=POLL_SECONDS)
    return [process for process in still if process.status() != psutil.STATUS_ZOMBIE]


def nodes_working_in(data_dir: Path) -> list[psutil.Process]:
    return working_in(data_dir / "primary") + working_in(data_dir / "replica")


def control_file(node: Node) -> Path:
    return node.directory / "PG_VERSION"


def supervisor(data_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SUPERVISOR, str(data_dir)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
