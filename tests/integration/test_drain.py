"""The end of a server: every client goes with an answer, and whoever waits in a queue gets one too."""

import asyncio
import errno
import json
import socket

import pytest

from tayang.listeners import bind, close_listeners
from tests.support.raw_http import RawClient, read_answer
from tests.support.service import Service, ServiceFactory
from tests.support.waiting import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


async def _served(service: Service) -> RawClient:
    client = RawClient(*service.address)
    answer = await client.send(HEALTH)
    assert (answer.status, answer.closes) == (200, False)
    return client


async def test_a_stop_ends_each_connection_with_an_answer_and_accepts_meanwhile(
    start_service: ServiceFactory,
) -> None:
    service = await start_service(stop_drain_seconds=60.0)
    await service.client.close()
    kept = await _served(service)
    drained = asyncio.create_task(service.server.drain(successor=False))
    await until(lambda: service.delivery.connections.closing, "it is told")

    newcomer = RawClient(*service.address)
    answer = await newcomer.request("GET", "/readyz")
    assert (answer.status, answer.closes) == (503, True)
    assert json.loads(answer.body)["status"] == "stopping"
    assert not drained.done(), "one may still ask"
    answer = await kept.send(HEALTH)
    assert (answer.status, answer.closes) == (200, True)
    async with asyncio.timeout(20):
        await drained


async def test_who_does_not_ask_is_let_go_after_the_grace(start_service: ServiceFactory) -> None:
    service = await start_service(stop_drain_seconds=0.1)
    await service.client.close()
    kept = await _served(service)
    reader, _ = await kept.connect()
    async with asyncio.timeout(20):
        await service.server.drain(successor=False)
        assert await reader.read() == b""
    await kept.close()


async def test_with_a_successor_it_stays_ready_and_leaves_newcomers_to_it(
    start_service: ServiceFactory,
) -> None:
    service = await start_service(stop_drain_seconds=60.0)
    await service.client.close()
    kept = await _served(service)
    drained = asyncio.create_task(service.server.drain(successor=True))

    def refused() -> bool:  # no successor has the socket here
        with socket.socket() as newcomer:
            return (
                newcomer.connect_ex(service.address) == errno.ECONNREFUSED
            )  # no successor has the socket here

    await until(refused, "it accepts no more")
    answer = await kept.request("GET", "/readyz")
    assert (answer.status, answer.closes) == (200, True)
    async with asyncio.timeout(20):
        await drained


@pytest.mark.parametrize("listeners", [1, 3])
async def test_who_waits_in_the_queue_of_a_listener_is_answered_before_it_closes(listeners: int) -> None:
    sockets = bind("127.0.0.1", 0, listeners, setting="TAYANG_HTTP_PORT")
    for each in sockets:
        each.listen(64)
    address = sockets[0].getsockname()
    clients = [RawClient(*address) for _ in range(20)]
    for client in clients:
        await client.connect()
    answers = [asyncio.create_task(client.send(HEALTH)) for client in clients]

    async with asyncio.timeout(20):
        await close_listeners(sockets)

        for answer in await asyncio.gather(*answers):
            assert (answer.status, json.loads(answer.body)["code"]) == (503, "stopping")
            assert answer.headers["retry-after"] == "1"
            assert answer.closes
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=20)


async def test_who_sends_late_is_answered_too() -> None:
    (listener,) = bind("127.0.0.1", 0, 1, setting="TAYANG_HTTP_PORT")
    listener.listen(8)
    client = RawClient(*listener.getsockname())
    reader, writer = await client.connect()
    closing = asyncio.create_task(close_listeners([listener]))
    await until(lambda: listener.fileno() == -1, "it is closed")
    writer.write(b"POST /v1/impressions HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n")
    writer.write(b"a" * 100_000)
    assert (await read_answer(reader)).status == 503
    await client.close()
    async with asyncio.timeout(20):
        await closing


async def test_while_listeners_close_nobody_is_reset() -> None:
    """Clients that connect all the time: each is answered, or could not connect."""
    sockets = bind("127.0.0.1", 0, 2, setting="TAYANG_HTTP_PORT")
    for each in sockets:
        each.listen(64)
    address = sockets[0].getsockname()
    statuses: list[int] = []

    async def ask_again_and_again() -> None:
        try:
            while True:
                statuses.append((await RawClient(*address, keep_alive=False).send(HEALTH)).status)
        except ConnectionRefusedError:
            return

    async with asyncio.timeout(60), asyncio.TaskGroup() as clients:
        for _ in range(10):
            clients.create_task(ask_again_and_again())
        await asyncio.sleep(0)
        await close_listeners(sockets)
    assert set(statuses) <= {503}
