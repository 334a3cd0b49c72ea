"""The benchmark works from nothing and cleans up. Its figures are never judged here: machines differ."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from loadtests.baselines.redis_server import available
from loadtests.generator import LoadError, closed_loop, parse
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def bench(directory: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A quick run; what it creates lies in `directory`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loadtests.bench",
        "--quick",
        *arguments,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:  # the test failed half-way
            process.terminate()
            await process.wait()


def left_in(directory: Path) -> list[str]:
    """Processes that work in the directory, or were told of it."""
    left = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        about = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        if any(str(directory) in text for text in about):
            left.append(" ".join(about))
    return left


def started_by(pid: int) -> list[str]:
    """The command lines of the process's descendants."""
    lines = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            lines.append(" ".join(child.cmdline()))
    return lines


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not below pytest's own: its next run shuts that to the servers' account, and a checkpoint panics."""
    directory = Path(tempfile.mkdtemp(prefix="tayang-tests-"))
    if os.geteuid() == 0:
        directory.chmod(0o711)  # the servers' account passes through
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


async def test_a_quick_run_measures_reports_and_stops_everything(directory: Path) -> None:
    report = directory / "docs" / "benchmarks.md"

    without = () if available() else ("--without", "redis")
    async with bench(directory, "--json", "--report", str(report), *without) as process:
        output, progress = await asyncio.wait_for(process.communicate(), 110)

    assert process.returncode == 0, progress.decode()
    result = json.loads(output)
    targets = {"bare", "bare_get", "bare_post", "get", "post", "old_design_get", "old_design_post"}
    if available():
        targets |= {"redis_get", "redis_post"}
    assert {run["target"] for run in result["http"]["runs"]} == targets
    assert {point["target"] for point in result["http"]["points"]} == targets - {"bare"}
    assert all(run["requests_per_second"] > 0 for run in result["http"]["runs"])
    assert all(run["p50_ms"] <= run["p99_ms"] for run in result["http"]["runs"])
    assert result["http"]["popups_a_get"] > 0
    assert result["http"]["confirmed"] > sum(
        run["requests"] for run in result["http"]["runs"] if run["target"] == "post"
    )
    assert {aim["target"] for aim in result["aims"]} == {"get", "post"}
    assert {"bare", "old_design_get"} <= {aim["yardstick"] for aim in result["aims"]}
    assert len(result["merge"]["series"]) == 6
    assert all(run["wal_bytes"] > 0 for series in result["merge"]["series"] for run in series["runs"])
    text = report.read_text()
    assert "Tayang" in report.with_suffix(".svg").read_text()
    for expected in (
        "`--quick` run",
        "## Aims",
        "of bare",
        "spread",
        "GET, old design",
        "benchmarks.svg",
        result["machine"]["commit"],
    ):
        assert expected in text
    assert left_in(directory) == []
    assert names_in(directory) == ["docs"]


async def test_ctrl_c_stops_everything(directory: Path) -> None:
    async with bench(directory, "--without", "redis") as process:
        await until(lambda: any("worker" in line for line in started_by(process.pid)), "the api worker runs")
        process.send_signal(signal.SIGINT)
        _, progress = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 130, progress.decode()
    assert left_in(directory) == []
    assert names_in(directory) == []


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    """Answers as the path says: a status, a missing length, an answer in two pieces, none at all."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/silent":
            await asyncio.Event().wait()
        if request.path == "/pieces":
            response = web.StreamResponse(headers={"Content-Length": "10"})
            await response.prepare(request)
            await response.write(b"01234")
            await response.write(b"56789")
            return response
        return web.Response(status=int(request.path[1:]), body=b"{}")

    app = web.Application()
    app.router.add_route("GET", "/{path}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][:2]
    await runner.cleanup()


def request_for(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


async def test_the_generator_counts_every_answer_once(address: tuple[str, int]) -> None:
    requests = ((request_for("/pieces"), number) for number in range(100))
    answers = []

    result = await closed_loop(
        address,
        requests,
        connections=3,
        expected_status=200,
        on_answer=lambda number, body: answers.append((number, body)),
    )

    assert sorted(answers) == [(number, b"0123456789") for number in range(100)]
    assert (result.answers, len(result.latencies), dict(result.statuses)) == (100, 100, {200: 100})


async def test_an_unexpected_status_voids_the_run(address: tuple[str, int]) -> None:
    paths = itertools.chain(["/200"] * 10, ["/503"], itertools.repeat("/200"))
    requests = ((request_for(path), 0) for path in paths)

    with pytest.raises(LoadError, match="status 503 instead of 200"):
        await closed_loop(address, requests, connections=2, expected_status=200, measure_seconds=20)


async def test_too_few_requests_void_a_timed_run(address: tuple[str, int]) -> None:
    requests = ((request_for("/200"), 0) for _ in range(5))

    with pytest.raises(LoadError, match="too few requests"):
        await closed_loop(address, requests, connections=2, expected_status=200, measure_seconds=20)


async def test_a_broken_consumer_voids_the_run(address: tuple[str, int]) -> None:
    def broken(_number: int, body: bytes) -> None:
        raise ValueError(body.decode())

    requests = itertools.repeat((request_for("/200"), 0))
    with pytest.raises(LoadError, match=r"\{\}"):
        await closed_loop(
            address, requests, connections=1, expected_status=200, measure_seconds=20, on_answer=broken
        )


def test_an_answer_is_found_by_its_length() -> None:
    data = b"HTTP/1.1 202 Accepted\r\nContent-Type: x\r\ncontent-length: 3\r\n\r\nabc"
    assert parse(data) == (202, len(data) - 3, len(data))
    assert parse(data[:-2]) is not None, "the head is complete"
    assert parse(data[:50]) is None
    with pytest.raises(LoadError, match="Content-Length"):
        parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
