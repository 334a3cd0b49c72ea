"""The service under attack: real processes, and a proxy in front of each PostgreSQL server."""

import re
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import psutil  # type: ignore[import-untyped]
import psycopg

from tayang.embedded import EmbeddedCluster, Node
from tests.acceptance.processes import Command, Shell
from tests.adversity.chaos.clock import Clocks
from tests.adversity.chaos.phones import PLACEMENT
from tests.adversity.chaos.proxy import Link, Proxy
from tests.adversity.chaos.wire import Point
from tests.adversity.ground import Servers
from tests.support.servers import caught_up
from tests.support.service import ADMIN_KEY, TOKEN_SECRET, USER_SECRET
from tests.support.waiting import until

WORKERS: Final = 2
MERGER: Final = "tayang merge"
_CAMPAIGNS: Final = 5
#: As the defaults, but that each wait is shorter: an attack lasts seconds, and outlasts most of them so.
_SETTINGS: Final = {
    "admin_key": ADMIN_KEY,
    "token_secrets": TOKEN_SECRET,
    "user_jwt_secret": USER_SECRET,
    "user_max_requests_per_second": 1e6,  # phones without pauses
    "ack_timeout_seconds": 2.0,
    "database_timeout_seconds": 1.5,
    "read_timeout_seconds": 0.5,
    "idle_probe_seconds": 0.2,
    "stop_flush_seconds": 2.0,
}
_SHOWN_CHARACTERS: Final = 3000
#: How often a statement must have been seen to be one that every cycle of merge and rotation comes to.
_USUAL_TIMES: Final = 3


@dataclass(frozen=True)
class WorkerState:
    """What a worker says of itself."""

    ready: bool
    pending_rows: int
    rows_sent_again: int


@dataclass
class MergeStatements:
    """The statements of merge and rotation, as they pass the proxies: where a merge can be killed."""

    times: dict[Point, int] = field(default_factory=dict)
    #: Set once they are known: what is met now and then later must not change the turns of the others.
    learnt: list[Point] = field(default_factory=list)
    _inside: set[Link] = field(default_factory=set)

    def note(self, link: Link, point: Point) -> None:
        if link.application == MERGER:
            if point.statement.startswith("BEGIN") and point.before.startswith("COMMIT"):
                self._inside.add(link)  # before that it connects and takes up its duty
            if link in self._inside:
                self.times[point] = self.times.get(point, 0) + 1

    @property
    def usual(self) -> list[Point]:
        """In the order of their first times."""
        return [point for point, times in self.times.items() if times >= _USUAL_TIMES]


class Rig:
    """Cluster, proxies, `tayang serve` and `tayang maintain`; `whole()` after each attack."""

    def __init__(self, cluster: EmbeddedCluster, database: str, shell: Shell, servers: Servers) -> None:
        self.cluster = cluster
        self.database = database
        self.url = shell.url
        self.servers = servers
        self.proxies = {node.name: Proxy(node.port) for node in (cluster.primary, cluster.replica)}
        self.clocks = Clocks(shell.data_dir / "clocks", WORKERS)
        self.statements = MergeStatements()
        self.serve: Command
        self.maintain: Command
        self._shell = shell
        self._started: list[Command] = []

    async def start(self) -> None:
        for proxy in self.proxies.values():
            await proxy.start()
            proxy.on_statement = self.statements.note
        self.serve = await self._start("serve", "--workers", str(WORKERS), replica_dsn=self.dsn)
        await self.start_maintenance()
        await self.serve.says("serving on ")
        await self.whole()
        for number in range(_CAMPAIGNS):
            await _create_campaign(self.url, f"campaign-{number}")

    async def stop(self) -> None:
        """End the processes in order, whatever state an attack has left them in."""
        for proxy in self.proxies.values():
            proxy.heal()
        running = [command for command in self._started if command.exit_code is None]
        for command in running:
            _resume(command.pid)
            command.signal(signal.SIGTERM)
        for command in running:
            await command.ended()
        for proxy in self.proxies.values():
            await proxy.stop()
            assert not proxy.errors, proxy.errors

    async def start_maintenance(self) -> None:
        """As an operator's service manager would after its end."""
        self.maintain = await self._start("maintain")

    @property
    def dsn(self) -> str:
        """Both servers by their proxies, in a fixed order: the service finds out which is the primary."""
        credentials = self.cluster.primary.dsn().partition("@")[0]
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies.values())
        return f"{credentials}@{hosts}/{self.database}"

    def proxy(self, node: Node) -> Proxy:
        return self.proxies[node.name]

    def worker_pids(self) -> list[int]:
        return sorted(child.pid for child in psutil.Process(self.serve.pid).children())

    async def workers(self) -> dict[str, WorkerState]:
        """What each worker says of itself, over connections made until all have answered."""
        found: dict[str, WorkerState] = {}

        async def another() -> bool:
            found.update(await _ask(self.url))
            return len(found) == WORKERS

        await until(another, f"{WORKERS} workers answer, not only {sorted(found)}", seconds=30)
        return found

    async def whole(self) -> None:
        """Return when the replica streams, maintenance runs and every worker is ready."""
        await until(
            lambda: self.servers.run(caught_up, self.cluster), "the replica follows the primary", seconds=30
        )
        await until(self._all_ready, "all workers are ready", seconds=30)
        assert self.maintain.exit_code is None, f"maintain has ended by itself: {self.maintain.err}"
        assert self.serve.exit_code is None, f"serve has ended by itself: {self.serve.err}"

    async def diagnosis(self) -> str:
        """The last words of the processes, and what the primary is busy with."""
        parts = [f"{name}: {_last_words(command.err)}" for name, command in self._commands().items()]
        try:
            parts += await self.servers.run(_activity, self.cluster.primary)
        except psycopg.Error as error:
            parts.append(f"the primary can't be asked: {error}")
        return "\n".join(parts)

    def _commands(self) -> dict[str, Command]:
        return {"serve": self.serve, "maintain": self.maintain}

    async def _start(self, *arguments: str, **settings: str) -> Command:
        command = await self._shell.start(*arguments, **(_SETTINGS | {"primary_dsn": self.dsn} | settings))
        self._started.append(command)
        return command

    async def _all_ready(self) -> bool:
        return all(worker.ready for worker in (await self.workers()).values())


def _last_words(log: str) -> str:
    """The last traceback, if there is one, and the end."""
    at = log.rfind("Traceback")
    traceback = log[max(0, at - _SHOWN_CHARACTERS // 10) :][:_SHOWN_CHARACTERS] if at >= 0 else ""
    return f"{traceback}\n…\n{log[-_SHOWN_CHARACTERS:]}"


def _activity(primary: Node) -> list[str]:
    with primary.connect("postgres") as connection:
        rows = connection.execute(
            "SELECT pid, application_name, state, wait_event, now() - state_change AS since,"
            " pg_blocking_pids(pid) AS blocked_by, left(query, 60) AS query"
            " FROM pg_stat_activity WHERE application_name LIKE 'tayang%' ORDER BY application_name"
        ).fetchall()
        return [str(row) for row in rows]


async def _create_campaign(url: str, key: str) -> None:
    document = {
        "key": key,
        "name": key,
        "status": "live",
        "placement": PLACEMENT,
        "variants": [{"key": "a", "weight": 1, "content": {}}, {"key": "b", "weight": 1, "content": {}}],
    }
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        aiohttp.ClientSession(url, headers=headers) as session,
        session.post("/v1/admin/campaigns", json=document) as response,
    ):
        assert response.status == 201, await response.text()


async def _ask(url: str) -> dict[str, WorkerState]:
    """The worker that happens to take a new connection."""
    timeout = aiohttp.ClientTimeout(total=2.0)
    try:
        async with aiohttp.ClientSession(
            url, timeout=timeout, connector=aiohttp.TCPConnector(limit=1)
        ) as session:
            async with session.get("/readyz") as response:
                ready = response.ok
            async with session.get("/metrics") as response:
                text = await response.text()
    except (aiohttp.ClientError, TimeoutError):
        return {}

    def value(name: str) -> tuple[str, int]:
        # The worker that answers comes first.
        worker, number = re.findall(rf'^{name}\{{worker="(\d+)"\}} (\S+)', text, re.MULTILINE)[0]
        return worker, int(float(number))

    worker, pending = value("tayang_pending_rows")
    again = value("tayang_flush_rows_sent_again_total")[1]
    return {worker: WorkerState(ready, pending, again)}


def _resume(pid: int) -> None:
    """A process and its children, if they were stopped."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children()):
            each.resume()
