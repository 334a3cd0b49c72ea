"""Too many clients, and slow ones: each gets an answer or is cut off in time, and the others are served."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from api.http.connection import Connection
from tests.support.raw_http import Answer, RawClient, read_answer
from tests.support.service import ADMIN_KEY, Service, ServiceFactory
from tests.support.waiting import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
POPUPS = b"GET /v1/popups?placement=home HTTP/1.1\r\nHost: test\r\n\r\n"
SOON = 0.2

Raw = Callable[[Service], RawClient]


def code(answer: Answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    return answer.status, document["code"]


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    """Clients of a service: `raw(service)`. At the end they are closed."""
    everyone: list[RawClient] = []

    def client(service: Service) -> RawClient:
        everyone.append(RawClient(*service.address))
        return everyone[-1]

    yield client
    for each in everyone:
        await each.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends the connection in order, and not by a reset."""
    async with asyncio.timeout(20):
        return await reader.read() == b""


async def connected(raw: Raw, service: Service, count: int) -> list[RawClient]:
    """Served once each."""
    everyone = [raw(service) for _ in range(count)]
    for client in everyone:
        assert (await client.send(HEALTH)).status == 200
    return everyone


async def full(start_service: ServiceFactory) -> Service:
    """A service for 3 clients whose own test client has let go."""
    service = await start_service(max_connections=3)
    await service.client.connector.close()  # type: ignore[union-attr]  # it has one
    await until(lambda: not len(service.delivery.connections), "nobody is connected")
    return service


async def test_too_many_clients_get_503_and_the_others_do_not_notice(
    raw: Raw, start_service: ServiceFactory
) -> None:
    service = await full(start_service)
    everyone = await connected(raw, service, 3)
    one_more = raw(service)
    answer = await one_more.send(POPUPS)
    assert code(answer) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert answer.closes
    assert service.delivery.connections.refused == 1
    for client in everyone:
        assert (await client.send(HEALTH)).status == 200
    await everyone[0].close()
    await until(lambda: len(service.delivery.connections) == 2, "one has gone")
    assert (await one_more.send(POPUPS)).status == 401, "now there is room"


async def test_a_refused_client_may_be_slow_to_ask_and_has_to_ask_in_time(
    raw: Raw, start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.connections.LINGER_SECONDS", SOON)
    service = await full(start_service)
    await connected(raw, service, 3)
    reader, _ = await raw(service).connect()
    assert await ended(reader)


async def test_operators_get_in_when_nobody_else_does(raw: Raw, start_service: ServiceFactory) -> None:
    service = await full(start_service)
    await connected(raw, service, 3)
    for path in ("/healthz", "/readyz", "/metrics"):
        operator = raw(service)
        answer = await operator.request("GET", path)
        assert answer.status == 200
        assert answer.closes, "the place is for the next one"
        await operator.close()
    assert service.delivery.connections.refused == 0


async def test_when_too_many_linger_the_oldest_has_to_go(raw: Raw, start_service: ServiceFactory) -> None:
    service = await full(start_service)
    await connected(raw, service, 3)
    silent = [raw(service) for _ in range(3)]
    for client in silent:
        await client.connect()
    await until(lambda: service.delivery.connections.refused == 3, "they linger")
    assert (await raw(service).send(HEALTH)).status == 200, "operators get in all the same"
    reader, _ = await silent[0].connect()
    assert code(await read_answer(reader)) == (503, "overloaded")
    assert await ended(reader)
    for client in silent[1:]:
        assert code(await client.send(POPUPS)) == (503, "overloaded")


async def test_a_head_that_does_not_come_in_time_gets_408(raw: Raw, start_service: ServiceFactory) -> None:
    service = await start_service(head_timeout_seconds=SOON)
    for first in (b"", HEALTH):
        client = raw(service)
        if first:
            assert (await client.send(first)).status == 200
        reader, writer = await client.connect()
        writer.write(b"GET /healthz HTTP/1.1\r\nHo")
        answer = await read_answer(reader)
        assert code(answer) == (408, "request_timeout")
        assert answer.closes
        assert await ended(reader)
    assert service.delivery.connections.heads_timed_out == 2


class Hasty(asyncio.Protocol):
    """A connection whose first bytes come before its task has begun, as with uvloop."""

    def __init__(self, service: Service, data: bytes) -> None:
        self._service = service
        self._data = data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        connection = cast("Connection", self._service.server.protocols()())
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(self._data)


async def hasty_answer(service: Service, data: bytes) -> Answer:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Hasty(service, data), "127.0.0.1", 0) as server:
        client = RawClient(*server.sockets[0].getsockname())
        try:
            reader, _ = await client.connect()
            return await client.answer(reader)
        finally:
            await client.close()


async def test_a_part_of_a_head_that_comes_at_once_gets_408_too(start_service: ServiceFactory) -> None:
    service = await start_service(head_timeout_seconds=SOON)
    assert code(await hasty_answer(service, b"GET /healthz HTTP/1.1\r\nHo")) == (408, "request_timeout")


async def test_a_request_that_comes_at_once_is_shed_too(start_service: ServiceFactory) -> None:
    service = await start_service(max_requests_in_flight=1)
    assert code(await hasty_answer(service, POPUPS)) == (401, "unauthorized")
    assert service.delivery.shedder.reads.enter(object())
    assert code(await hasty_answer(service, POPUPS)) == (503, "overloaded")


async def test_who_drips_a_head_does_not_win_time(raw: Raw, start_service: ServiceFactory) -> None:
    service = await start_service(head_timeout_seconds=SOON)
    reader, writer = await raw(service).connect()
    answer = asyncio.create_task(read_answer(reader))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: ")
    while not answer.done():
        writer.write(b"a")
        await asyncio.wait((answer,), timeout=SOON / 10)
    assert code(answer.result()) == (408, "request_timeout")


async def test_who_says_nothing_is_let_go_and_who_has_asked_may_be_silent(
    raw: Raw,
    start_service: ServiceFactory,
) -> None:
    service = await start_service(head_timeout_seconds=SOON)
    kept = raw(service)
    assert (await kept.send(HEALTH)).status == 200
    reader, _ = await raw(service).connect()
    assert await ended(reader)
    assert service.delivery.connections.heads_timed_out == 1
    assert (await kept.send(HEALTH)).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz?" + b"a" * 300 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: test\r\nX-Long: " + b"a" * 300 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: test\r\n" + b"X-Many: a\r\n" * 10 + b"\r\n",
    ],
    ids=["line", "field", "fields"],
)
async def test_a_head_beyond_its_limits_gets_431(
    raw: Raw, start_service: ServiceFactory, head: bytes
) -> None:
    service = await start_service(head_line_max_bytes=256, head_max_fields=8)
    answer = await raw(service).send(head)
    assert code(answer) == (431, "head_too_large")
    assert answer.closes


async def test_a_head_that_comes_in_too_many_bytes_gets_431(raw: Raw, start_service: ServiceFactory) -> None:
    service = await start_service(head_max_bytes=1024)
    reader, writer = await raw(service).connect()
    answer = asyncio.create_task(read_answer(reader))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: test\r\n")
    for number in range(100):
        writer.write(b"X-%d: %b\r\n" % (number, b"a" * 50))
        await writer.drain()
        await asyncio.wait((answer,), timeout=0.001)
        if answer.done():
            break
    assert code(await answer) == (431, "head_too_large")


async def test_what_is_no_http_gets_a_problem_document(raw: Raw, service: Service) -> None:
    answer = await raw(service).send(b"\x16\x03\x01 hello\r\n\r\n")
    assert code(answer) == (400, "bad_request")


async def test_who_does_not_read_is_cut_off(start_service: ServiceFactory) -> None:
    service = await start_service(write_timeout_seconds=SOON)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(service.address)
        client.setblocking(False)
        connections = service.delivery.connections
        request = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"

        async def cut_off() -> bool:
            try:
                client.send(request)
            except BlockingIOError:
                pass
            except OSError:
                return True
            return connections.writes_timed_out > 0

        await until(cut_off, "it is cut off")
    assert connections.writes_timed_out == 1


async def test_bodies_of_the_admin_api_have_a_time_limit(
    raw: Raw, start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At its end the service waits for the rest of the body.
    monkeypatch.setattr("api.http.server._HANDLER_GRACE_SECONDS", SOON)
    service = await start_service(ack_timeout_seconds=0.1)
    monkeypatch.setattr("api.admin.body.STALL_SECONDS", SOON)
    answer = await raw(service).send(
        b"POST /v1/admin/campaigns HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\nAuthorization: Bearer %b\r\n\r\n{" % ADMIN_KEY.encode()
    )
    assert code(answer) == (408, "request_timeout")
