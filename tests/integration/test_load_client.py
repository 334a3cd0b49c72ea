"""How the load test's phones talk HTTP: what is sent, what counts as failed, and on which connection."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: More than a socket takes or gives at a time.
LARGE = 10_000_000 * b"x"
BODY = 5_000_000 * "é"
BUSY = b'{"code":"overloaded"}'


async def test_what_phones_send_and_what_counts_as_failed() -> None:
    """A busy or silent service is an error of the test, once, and the next request is another chance."""
    async with _server() as server:
        gets = [(path, None) for path in ("/", "/large", "/busy", "/last", "/gone")]
        first, large, busy, last, gone, posted = await _ask(server.host, [*gets, ("/", BODY)])

    assert (first["status"], first["error"], first["late_ms"]) == (200, None, 7.0)
    assert (large["status"], large["error"], large["bytes"]) == (200, None, len(LARGE))
    assert (busy["status"], busy["text"]) == (503, BUSY.decode())
    assert "503" in busy["error"]
    assert (last["status"], last["error"]) == (200, None)
    assert gone["status"] == 0
    assert gone["error"], "it is not sent again in silence"
    assert (posted["status"], posted["error"]) == (200, None)

    assert [path for path, _, _ in server.seen] == ["/", "/large", "/busy", "/last", "/gone", "/"]
    assert [connection for _, connection, _ in server.seen] == [0, 0, 0, 0, 1, 2]
    head, _, body = server.seen[-1][2].partition(b"\r\n\r\n")
    assert body == BODY.encode()
    assert f"host: {server.host.removeprefix('http://')}".encode() in head.lower()


class _Server:
    """`seen`: path, number of the connection, and the whole request."""

    def __init__(self) -> None:
        self.host = ""
        self.seen: list[tuple[str, int, bytes]] = []
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, self._connections = self._connections, self._connections + 1
        with closing(writer):
            while head := await _head(reader):
                lines = head.decode().lower().split("\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
                path = head.split(b" ", 2)[1].decode()
                self.seen.append((path, connection, head + await reader.readexactly(length)))
                answer = _answer(path)
                writer.write(answer)
                await writer.drain()
                if path in {"/last", "/gone"}:
                    return


def _answer(path: str) -> bytes:
    if path == "/gone":
        return b""
    body = {"/large": LARGE, "/busy": BUSY}.get(path, b"{}")
    status = "503 Service Unavailable" if path == "/busy" else "200 OK"
    close = "Connection: close\r\n" if path == "/last" else ""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{close}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def _server() -> AsyncIterator[_Server]:
    found = _Server()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as listening:
        found.host = "http://{}:{}".format(*listening.sockets[0].getsockname())
        yield found


async def _ask(host: str, requests: list[tuple[str, str | None]]) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.locust_requests", host),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(json.dumps(requests).encode()), 60)
    assert process.returncode == 0
    found: list[dict[str, Any]] = json.loads(output)
    return found
