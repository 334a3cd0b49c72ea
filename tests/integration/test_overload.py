"""More requests than a process can answer soon: refused at once, without a look at who asks."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from api.http.connection import Connection
from tests.support.database import Database
from tests.support.raw_http import Answer, RawClient, read_answer
from tests.support.servers import suspended
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.tokens import token
from tests.support.waiting import until

#: Answered within 5 ms of being parsed, says the design; a test on a busy machine can't insist on that.
AT_ONCE_SECONDS = 1.0


class Crowd:
    """Users with a connection each, whose requests may be left unanswered for a while."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._clients: list[RawClient] = []
        self._waiting: list[asyncio.Task[Answer]] = []

    async def ask(self, method: str = "GET", path: str = "/v1/popups?placement=home") -> Answer:
        document = {"token": token("ani")} if method == "POST" else None
        client = RawClient(*self.service.address)
        self._clients.append(client)
        return await client.request(method, path, headers=bearer("ani"), document=document)

    async def wait_for(
        self, count: int, method: str = "GET", path: str = "/v1/popups?placement=home"
    ) -> None:
        """Return when so many more are in flight."""
        shedder = self.service.delivery.shedder
        gate = shedder.reads if method == "GET" else shedder.writes
        before = len(gate)
        self._waiting += [asyncio.create_task(self.ask(method, path)) for _ in range(count)]
        await until(lambda: len(gate) == before + count, "they are in flight")

    async def statuses(self) -> list[int]:
        """Of those that had to wait."""
        return [answer.status for answer in await asyncio.gather(*self._waiting)]

    async def close(self) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        for client in self._clients:
            await client.close()


@pytest.fixture
async def crowd(start_service: ServiceFactory) -> AsyncIterator[Crowd]:
    """Of a service that takes 3 requests of a kind, with servers that may hang for long."""
    service = await start_service(
        max_requests_in_flight=3,
        queue_burst_seconds=60.0,
        read_timeout_seconds=20.0,
        database_timeout_seconds=20.0,
        ack_timeout_seconds=20.0,
    )
    crowd = Crowd(service)
    yield crowd
    await crowd.close()


def refused(answer: Answer) -> None:
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "overloaded")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"


async def test_more_reads_than_are_admitted_get_503_at_once(crowd: Crowd, database: Database) -> None:
    service, cluster = crowd.service, database.cluster
    await service.create("sale")
    async with suspended(cluster, cluster.primary, cluster.replica):
        await crowd.wait_for(3)
        asked_at = time.monotonic()
        one_more = await crowd.ask()
        refused(one_more)
        assert time.monotonic() - asked_at < AT_ONCE_SECONDS
        assert not one_more.closes, "it may ask again over this connection"
        for path in ("/healthz", "/metrics"):
            assert (await crowd.ask("GET", path)).status == 200
        await crowd.wait_for(1, "POST", "/v1/impressions")  # writes have a bound of their own
    assert await crowd.statuses() == [200, 200, 200, 202]
    assert service.delivery.shedder.reads.shed == {"in_flight": 1, "behind": 0}
    assert (await crowd.ask()).status == 200


async def test_more_writes_than_are_admitted_get_503_and_nothing_of_them_is_kept(
    crowd: Crowd, database: Database
) -> None:
    service = crowd.service
    async with suspended(database.cluster, database.cluster.primary):
        await crowd.wait_for(3, "POST", "/v1/impressions")
        refused(await crowd.ask("POST", "/v1/impressions"))
        assert len(service.delivery.pending) == 3
        assert (await crowd.ask()).status == 200, "reads go on from the replica"
    assert await crowd.statuses() == [202, 202, 202]


async def test_a_refused_connection_asks_again_and_is_served(crowd: Crowd, database: Database) -> None:
    service, cluster = crowd.service, database.cluster
    client = RawClient(*service.address)
    async with suspended(cluster, cluster.primary, cluster.replica):
        await crowd.wait_for(3)
        for _ in range(3):
            refused(await client.request("GET", "/v1/popups?placement=home", headers=bearer("ani")))
    await crowd.statuses()
    assert (await client.request("GET", "/v1/popups?placement=home", headers=bearer("ani"))).status == 200
    await client.close()


async def test_a_request_that_comes_in_parts_is_refused_too(crowd: Crowd, database: Database) -> None:
    service = crowd.service
    client = RawClient(*service.address)
    reader, writer = await client.connect()
    async with suspended(database.cluster, database.cluster.primary):
        await crowd.wait_for(3, "POST", "/v1/impressions")
        writer.write(b"POST /v1/impressions HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n")
        shed = service.delivery.shedder.writes.shed
        await until(lambda: shed["in_flight"] == 1, "its head has come")
        writer.write(b"{}")
        refused(await read_answer(reader))
    await crowd.statuses()
    await client.close()


async def test_who_wants_its_connection_closed_gets_that_with_its_refusal(
    crowd: Crowd, database: Database
) -> None:
    service, cluster = crowd.service, database.cluster
    client = RawClient(*service.address, keep_alive=False)
    async with suspended(cluster, cluster.primary, cluster.replica):
        await crowd.wait_for(3)
        answer = await client.request("GET", "/v1/popups?placement=home", headers=bearer("ani"))
        refused(answer)
        assert answer.closes
    await crowd.statuses()


async def test_a_client_that_goes_away_makes_room_when_the_work_for_it_has_ended(
    crowd: Crowd, database: Database
) -> None:
    service, cluster = crowd.service, database.cluster
    gate, connections = service.delivery.shedder.reads, service.delivery.connections
    async with suspended(cluster, cluster.primary, cluster.replica):
        await crowd.wait_for(3)
        before = len(connections)
        await crowd.close()
        await until(lambda: len(connections) == before - 3, "they have gone")
        refused(await crowd.ask())
    await until(lambda: len(gate) == 0, "the last read has ended")


async def test_a_client_that_goes_away_in_the_middle_of_a_request_makes_room(crowd: Crowd) -> None:
    gate = crowd.service.delivery.shedder.writes
    client = RawClient(*crowd.service.address)
    _, writer = await client.connect()
    writer.write(b"POST /v1/impressions HTTP/1.1\r\nHo")
    await until(lambda: len(gate) == 1, "it has begun")
    await client.close()
    await until(lambda: len(gate) == 0, "it has left")


async def test_refusals_are_not_kept_for_a_client_that_does_not_read(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(
        max_requests_in_flight=1, write_timeout_seconds=0.5, read_timeout_seconds=20.0
    )
    crowd, cluster, connections = Crowd(service), database.cluster, service.delivery.connections
    most = 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(service.address)
        client.setblocking(False)

        async def cut_off() -> bool:
            nonlocal most
            with suppress(OSError):  # nothing more fits, or it is cut off
                for _ in range(100):
                    client.send(b"GET /v1/popups HTTP/1.1\r\nHost: test\r\n\r\n")
                    await asyncio.sleep(0)
                    most = max(most, *(_unsent_bytes(connection) for connection in connections._open))
            return connections.writes_timed_out > 0

        async with suspended(cluster, cluster.primary, cluster.replica):
            await crowd.wait_for(1)
            await until(cut_off, "it is cut off")
    assert 0 < most < 256 * 1024
    await crowd.close()


def _unsent_bytes(connection: Connection) -> int:
    return connection._wire.get_write_buffer_size() if connection._wire is not None else 0


async def test_a_full_pending_list_is_told_at_once(start_service: ServiceFactory) -> None:
    service = await start_service(pending_max_rows=1)
    assert (await service.post("ani", {"token": token("ani")}))[0] == 202
    asked_at = time.monotonic()
    status, document = await service.post("ani", {"token": token("ani")})
    assert (status, document["code"]) == (503, "buffer_full")
    assert time.monotonic() - asked_at < AT_ONCE_SECONDS


async def test_a_merge_that_has_stopped_shows_long_before_the_list_is_full(
    start_service: ServiceFactory, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = await start_service(merge_lag_warn_seconds=0.2)
    await service.post("ani", {"token": token("ani")})

    async def merge_part() -> dict[str, object]:
        async with service.client.get("/readyz") as response:
            assert response.status == 200, "one that is late is no reason to serve nobody"
            return dict((await response.json())["parts"]["merge"])

    async def warned() -> bool:
        return "warning" in await merge_part()

    await until(warned, "readiness warns")
    part = await merge_part()
    assert part["ok"] is True
    assert part["oldest_pending_seconds"] >= 0.2  # type: ignore[operator]  # a number
    await until(lambda: "merging has stopped or can't keep up" in caplog.text, "the log has it")
    await database.merge()

    async def over() -> bool:
        return not await warned()

    await until(over, "what is merged isn't late")
