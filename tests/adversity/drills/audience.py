"""What a large audience costs: its time, the worker's memory, and what popups wait for meanwhile.

    python -m tests.adversity.drills.audience [--rows 1000000] [--rounds 3] [--quiet-seconds 10]
                                              [--rate 100] [--json]

Phones ask each of two workers for popups at a steady rate, and measure from the moment at which a request was
due. Each round uploads an audience to the first worker, in one request and in parts, for a new campaign each
time; before and after each upload is a quiet time that the latencies are compared with. Exit code 1 if an
audience is not what was sent.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from http.client import HTTPConnection
from typing import Annotated, Any, Final

import asyncpg
import psutil  # type: ignore[import-untyped]
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.figures import percentile
from tayang.user_token import mint
from tests.adversity.drills.http import Wire, get_popups, wires_to_each_worker
from tests.adversity.drills.stack import HOST, Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory
from tests.support.service import ADMIN_KEY, USER_SECRET

WAYS: Final = ("one request", "parts")
#: The p99 of popups during an upload, by that of before.
AIM: Final = 1.5
_WORKERS: Final = 2
_WIRES_EACH: Final = 8
_QUERY: Final = b"placement=home&limit=3"
_PART_BYTES: Final = 4 * 1024 * 1024
_UPLOAD_SECONDS: Final = 1200.0
_FIND_SECONDS: Final = 30.0
_SAMPLE_SECONDS: Final = 0.05
_MIB: Final = 1024 * 1024
_CAMPAIGNS: Final = 20

#: Uploads for a campaign, and returns when applying began, if that can be seen.
Send = Callable[[int], float | None]


@dataclass(frozen=True)
class Plan:
    """`rate` in popups a second that each worker is asked for."""

    rows: int
    rounds: int = 3
    quiet_seconds: float = 10.0
    rate: float = 100.0


@dataclass(frozen=True)
class Latency:
    """Of one worker's answers, in milliseconds."""

    answers: int
    p50: float
    p99: float
    most: float


@dataclass
class Upload:
    """One upload. `applying_seconds` is the last request of one in parts; else 0: nobody sees it begin."""

    way: str
    seconds: float = 0.0
    applying_seconds: float = 0.0
    members: int = 0
    resident_mib: dict[str, float] = field(default_factory=dict)  # before, most, after
    same: dict[str, Latency] = field(default_factory=dict)  # quiet, sending, applying or during
    other: dict[str, Latency] = field(default_factory=dict)

    def ratio(self, worker: str) -> float:
        """The p99 of the whole upload by that of the quiet times around it."""
        found = getattr(self, worker)
        return float(found["during"].p99 / found["quiet"].p99)


class Phones:
    """Ask both workers on; `answers` of each worker are (when it was due, seconds from then to its end)."""

    def __init__(self, wires: list[list[Wire]], rate: float) -> None:
        self.answers: list[list[tuple[float, float]]] = [[] for _ in wires]
        self._wires = wires
        self._rate = rate

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._ask(wire, worker, number / len(wires)))
                for worker, wires in enumerate(self._wires)
                for number, wire in enumerate(wires)
            ]
            yield
            for task in tasks:
                task.cancel()

    async def _ask(self, wire: Wire, worker: int, phase: float) -> None:
        """One that is late asks at once, and its delay counts: a stall delays all that came due in it."""
        jwt = mint(USER_SECRET, f"phone-{worker}-{phase}").encode()
        every = _WIRES_EACH / self._rate
        due = time.perf_counter() + every * (1 + phase)
        while True:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status, body = await wire.ask(get_popups(jwt, _QUERY))
            if status != 200:
                raise RuntimeError(f"status {status} instead of 200: {body[:200]!r}")
            self.answers[worker].append((due, time.perf_counter() - due))
            due += every

    def between(self, worker: int, *times: tuple[float, float]) -> Latency:
        """Of the requests that were due then."""
        found = [
            seconds * 1000
            for due, seconds in self.answers[worker]
            if any(first <= due < last for first, last in times)
        ]
        return Latency(len(found), percentile(found, 50), percentile(found, 99), max(found))


class Uploader:
    """A client of one worker, for a thread: in the phones' event loop it would be measured as well."""

    def __init__(self, port: int, worker: int) -> None:
        """SO_REUSEPORT spreads connections by a hash: it opens new ones until one leads to the worker."""
        mine, deadline = (
            f'tayang_events_accepted_total{{worker="{worker}"}}',
            time.monotonic() + _FIND_SECONDS,
        )
        while time.monotonic() < deadline:
            self._connection = HTTPConnection(HOST, port, timeout=_UPLOAD_SECONDS)
            self._connection.request("GET", "/metrics")
            # The worker that answers comes first.
            text = self._connection.getresponse().read().decode()
            if text[text.index("tayang_events_accepted_total{") :].startswith(mine):
                return
            self._connection.close()
        raise RuntimeError(f"no connection leads to worker {worker}")

    def put(self, file: bytes, campaign: int) -> None:
        self._ask("PUT", _path(campaign), file, {"Content-Type": "text/csv"})

    def parts(self, file: bytes, campaign: int) -> float:
        """Returns when the last part was sent and applying begins."""
        uploads = f"{_path(campaign)}/uploads"
        path = f"{uploads}/{self._ask('POST', uploads)['id']}"
        for offset in range(0, len(file), _PART_BYTES):
            headers = {"Content-Type": "application/partial-upload", "Upload-Offset": str(offset)}
            self._ask("PATCH", path, file[offset : offset + _PART_BYTES], headers)
        applying = time.perf_counter()
        self._ask("POST", f"{path}/complete")
        return applying

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        sent = {"Authorization": f"Bearer {ADMIN_KEY}", **(headers or {})}
        self._connection.request(method, path, body, sent)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status // 100 != 2:
            raise RuntimeError(f"status {response.status} of {method} {path}: {answer[:300]!r}")
        return json.loads(answer)


async def measure(stack: Stack, plan: Plan, progress: Console) -> list[Upload]:
    """In the order in which they were made; the ways take turns."""
    for number in range(_CAMPAIGNS):
        await stack.create_campaign(f"campaign-{number}")
    wires = await wires_to_each_worker(HOST, stack.port, _WORKERS, _WIRES_EACH)
    uploader = await asyncio.to_thread(Uploader, stack.port, 0)
    file, phones, uploads = _file(plan.rows), Phones(wires, plan.rate), []
    try:
        async with phones.asking():
            for number in range(plan.rounds):
                for way, send in zip(WAYS, (uploader.put, uploader.parts), strict=True):
                    progress.print(f"round {number + 1} of {plan.rounds}: {way}, {plan.rows:,} rows")
                    uploads.append(await _one(stack, phones, way, partial(send, file), plan.quiet_seconds))
                    progress.print(f"  {uploads[-1].seconds:.1f} s, {uploads[-1].ratio('same'):.2f} x p99")
    finally:
        uploader.close()
        for wire in (wire for some in wires for wire in some):
            wire.close()
    return uploads


async def _one(stack: Stack, phones: Phones, way: str, send: Send, quiet_seconds: float) -> Upload:
    campaign = await stack.create_campaign(f"invited-{len(phones.answers[0])}", audience="listed")
    upload, begin = Upload(way), time.perf_counter()
    await asyncio.sleep(quiet_seconds)
    worker = _worker_process(stack, 0)
    async with _watched(worker, upload.resident_mib):
        started = time.perf_counter()
        applying = await asyncio.to_thread(send, campaign)
        ended = time.perf_counter()
    await asyncio.sleep(quiet_seconds)
    upload.resident_mib["after"] = worker.memory_info().rss / _MIB
    upload.seconds = ended - started
    upload.applying_seconds = 0.0 if applying is None else ended - applying
    upload.members = await _members(stack, campaign)
    times = {
        "quiet": [(begin, started), (ended, ended + quiet_seconds)],
        "during": [(started, ended)],
    }
    if applying is not None:
        times |= {"sending": [(started, applying)], "applying": [(applying, ended)]}
    for number, found in enumerate((upload.same, upload.other)):
        found |= {name: phones.between(number, *spans) for name, spans in times.items()}
    return upload


async def _members(stack: Stack, campaign: int) -> int:
    connection = await asyncpg.connect(stack.primary_dsn)
    try:
        count = "SELECT count(*) FROM audience_members WHERE campaign_id = $1"
        return int(await connection.fetchval(count, campaign))
    finally:
        await connection.close()


def _path(campaign: int) -> str:
    return f"/v1/admin/campaigns/{campaign}/audience"


def _file(rows: int) -> bytes:
    return b"".join(b"user-%012d\n" % number for number in range(rows))


def _worker_process(stack: Stack, number: int) -> psutil.Process:
    for process in psutil.Process(stack.serve.pid).children():
        arguments = process.cmdline()
        if "--number" in arguments and arguments[arguments.index("--number") + 1] == str(number):
            return process
    raise RuntimeError(f"there is no worker {number}")


@asynccontextmanager
async def _watched(process: psutil.Process, resident_mib: dict[str, float]) -> AsyncIterator[None]:
    """Before, and the most that any sample sees."""
    resident_mib["before"] = resident_mib["most"] = process.memory_info().rss / _MIB

    async def sample() -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            resident_mib["most"] = max(resident_mib["most"], process.memory_info().rss / _MIB)

    sampling = asyncio.create_task(sample())
    try:
        yield
    finally:
        sampling.cancel()


def show(uploads: list[Upload], console: Console) -> None:
    headings = ("way", "s", "applying", "rows/s", "MiB before", "most", "after")
    table = Table(*headings, title="Uploads", title_justify="left")
    for upload in uploads:
        memory = [f"{upload.resident_mib[name]:.1f}" for name in ("before", "most", "after")]
        applying = f"{upload.applying_seconds:.1f}" if upload.applying_seconds else ""
        rate = f"{upload.members / upload.seconds:,.0f}"
        table.add_row(upload.way, f"{upload.seconds:.1f}", applying, rate, *memory)
    console.print(table)
    names = ("quiet", "during", "sending", "applying")
    title = f"GET /v1/popups: p50 / p99 / most in ms; aim: p99 during at most {AIM:g} x quiet"
    table = Table("way", "worker", *names, "p99 ratio", title=title, title_justify="left")
    for upload in uploads:
        for worker in ("same", "other"):
            found: dict[str, Latency] = getattr(upload, worker)
            cells = [_cell(found.get(name)) for name in names]
            table.add_row(upload.way, worker, *cells, f"{upload.ratio(worker):.2f}")
    console.print(table)


def _cell(latency: Latency | None) -> str:
    return "" if latency is None else f"{latency.p50:.1f} / {latency.p99:.1f} / {latency.most:.0f}"


async def _drill(plan: Plan) -> list[Upload]:
    """On servers that sync to the disk."""
    with servers_directory("tayang-drill-", memory=False) as directory:
        async with (
            own_cluster(directory, durable=True) as (cluster, servers),
            running_stack(cluster, servers, directory / "service", workers=_WORKERS) as stack,
        ):
            return await measure(stack, plan, Console(stderr=True, highlight=False))


def main(
    rows: Annotated[int, typer.Option(min=1)] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    quiet_seconds: Annotated[float, typer.Option(min=0.1)] = 10.0,
    rate: Annotated[float, typer.Option(min=1, help="popups a second that each worker is asked for")] = 100.0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    plan = Plan(rows, rounds, quiet_seconds, rate)
    uploads = uvloop.run(_drill(plan))
    if as_json:
        ratios = [{"same": each.ratio("same"), "other": each.ratio("other")} for each in uploads]
        told = [asdict(each) | {"p99_ratio": ratio} for each, ratio in zip(uploads, ratios, strict=True)]
        print(json.dumps({"plan": asdict(plan), "aim": AIM, "uploads": told}))  # noqa: T201
    else:
        console = Console()
        show(uploads, console if console.is_terminal else Console(width=140, color_system=None))
    sys.exit(0 if all(upload.members == rows for upload in uploads) else 1)


if __name__ == "__main__":
    typer.run(main)
