"""The short way and the usual one: which requests take which, and that no answer tells."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from api.access.secret import MARK
from api.http import popups
from tests.support.database import Database
from tests.support.raw_http import Answer, RawClient, read_answer
from tests.support.servers import suspended
from tests.support.service import ADMIN_KEY, Service, ServiceFactory, bearer
from tests.support.tokens import token
from tests.support.waiting import until

GET = "GET /v1/popups?placement=home"
POST = "POST /v1/impressions"
ANI = bearer("ani")
#: What differs between two answers to the same question.
OWN = re.compile(rb'"(?:token|as_of|expires_at)":"[^"]*"')


@dataclass(frozen=True)
class Case:
    line: str
    headers: Mapping[str, str] = field(default_factory=lambda: ANI)
    body: bytes | None = None
    version: str = "1.1"

    def raw(self) -> bytes:
        fields = {"Host": "test", **self.headers}
        if self.body is not None:
            fields["Content-Length"] = str(len(self.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{self.line} HTTP/{self.version}\r\n{head}\r\n".encode("latin-1") + (self.body or b"")


def event(**document: Any) -> bytes:
    return json.dumps(document).encode()


SHORT = {
    "popups": Case(GET),
    "of himself": Case(GET + "&user_id=ani"),
    "of another": Case(GET + "&user_id=budi"),
    "session": Case(GET + "&session=s1"),
    "attributes": Case(GET + "&platform=ios&attr.a=%E2%82%AC&tz=%2B07:00&limit=1"),
    "no placement": Case("GET /v1/popups"),
    "a wrong limit": Case(GET + "&limit=99"),
    "no UTF-8": Case(GET + "&locale=%ff"),
    "a broken JWT": Case(GET, {"Authorization": "Bearer a.b.c"}),
    "the admin's key": Case(GET, {"Authorization": f"Bearer {ADMIN_KEY}"}),
    "another scheme": Case(GET, {"Authorization": "Basic YTpi"}),
    "a length of none": Case(GET, {**ANI, "Content-Length": "0"}),
    "no body": Case(POST),
    "an event": Case(POST, body=event(token=token())),
    "an interaction": Case("POST /v1/interactions", body=event(token=token(), kind="click")),
    "events": Case(POST, body=event(impressions=[{"token": token()}, {"token": "x"}, 7])),
    "a forged token": Case(POST, body=event(token=token()[:-4] + "AAAA")),
    "an old token": Case(POST, body=event(token=token(served_seconds_ago=40 * 86400))),
    "another's token": Case(POST, body=event(token=token("budi"))),
    "no JSON": Case(POST, body=b"{"),
    "no object": Case(POST, body=b"[]"),
    "no UTF-8 in JSON": Case(POST, body=b'{"token":"\xff"}'),
    "too many": Case(POST, body=event(impressions=[{}] * 101)),
}
USUAL = {
    "nobody": Case(GET, {}),
    "two callers": Case(GET, {"Authorization": ANI["Authorization"], "authorization": "x"}),
    "a key": Case(GET, {"Authorization": f"Bearer {MARK}abc"}),
    "a preview": Case(GET + "&preview=x"),
    "raw bytes": Case(GET + "&locale=\xe9"),
    "a fragment": Case(GET + "#top"),
    "an encoded path": Case("GET /v1/pop%75ps?placement=home"),
    "HTTP/1.0": Case(GET, version="1.0"),
    "the last one": Case(GET, {**ANI, "Connection": "close"}),
    "a page's": Case(GET, {**ANI, "Origin": "https://example.com"}),
    "no such path": Case("GET /v1/popup"),
    "a wrong method": Case("PUT /v1/popups"),
    "only the head": Case("HEAD /v1/popups?placement=home"),
    "a coded body": Case(POST, {**ANI, "Content-Encoding": "br"}, body=b"{}"),
    "no number": Case(POST, {**ANI, "Content-Length": "x"}),
    "no length of anything": Case(POST, {**ANI, "Content-Length": "9" * 5000}),
}


@pytest.mark.parametrize("name", [*SHORT, *USUAL])
async def test_no_answer_tells_which_way_was_taken(name: str, service: Service) -> None:
    await service.create("welcome", holdout_percent=0)
    case = SHORT.get(name) or USUAL[name]
    direct: Any = service.delivery.connections.direct
    answers = [await _ask(service, case)]
    assert direct.taken == (name in SHORT)
    service.delivery.connections.direct = None
    answers.append(await _ask(service, case))
    short, usual = answers
    assert short.status == usual.status
    assert _without_own(short.body) == _without_own(usual.body)
    assert _lasting(short) == _lasting(usual)


async def test_rates_are_limited_and_told_on_both_ways(start_service: ServiceFactory) -> None:
    service = await start_service(user_max_requests_per_second=0.001, user_burst_max_requests=3)
    connections, told = service.delivery.connections, {}
    for user in ("ani", "budi"):
        answers = [await _ask(service, Case(GET, bearer(user))) for _ in range(4)]
        told[user] = [(each.status, each.headers.get("ratelimit"), _lasting(each)) for each in answers]
        connections.direct = None
    assert [status for status, *_ in told["ani"]] == [200, 200, 200, 429]
    assert told["ani"][2][1] is not None
    assert told["ani"] == told["budi"]


async def test_a_body_in_parts_goes_the_usual_way(service: Service) -> None:
    case = Case(POST, body=event(token=token()))
    reader, writer = await RawClient(*service.address).connect()
    writer.write(case.raw()[:-5])
    await until(lambda: len(service.delivery.shedder.writes) == 1, "it has begun")
    writer.write(case.raw()[-5:])
    assert (await read_answer(reader)).status == 202
    assert service.delivery.connections.direct.taken == 0  # type: ignore[union-attr]
    writer.close()


async def test_requests_that_come_at_once_are_answered_in_their_order(service: Service) -> None:
    first, second = Case(GET), Case(POST, body=event(token="x"))
    reader, writer = await RawClient(*service.address).connect()
    writer.write(first.raw() + second.raw() + first.raw())
    assert [(await read_answer(reader)).status for _ in range(3)] == [200, 400, 200]
    writer.close()


async def test_what_comes_during_an_answer_waits_for_its_turn(service: Service, database: Database) -> None:
    direct: Any = service.delivery.connections.direct
    reader, writer = await RawClient(*service.address).connect()
    async with suspended(database.cluster, database.cluster.primary, database.cluster.replica):
        writer.write(Case(GET).raw())
        await until(lambda: direct.taken == 1, "it is under way")
        writer.write(Case(POST, body=event(token="x")).raw())
        writer.write(Case("GET /healthz").raw())
    # The second one could be answered without a database, and may not overtake.
    assert [(await read_answer(reader)).status for _ in range(3)] == [200, 400, 200]
    writer.write(Case(GET).raw())
    assert (await read_answer(reader)).status == 200
    assert direct.taken == 2, "and then it is as before"
    writer.close()


#: In one packet after a request, or alone: a head whose last field goes on with what looks like a request.
HALF_A_HEAD = b"GET /v1/popups HTTP/1.1\r\nHost: test\r\nX-Note: "


@pytest.mark.parametrize("shed", [False, True])
async def test_what_only_looks_like_a_request_is_none(shed: bool, service: Service) -> None:
    direct: Any = service.delivery.connections.direct
    reader, writer = await RawClient(*service.address).connect()
    writer.write(Case(GET).raw())
    assert (await read_answer(reader)).status == 200
    writer.write(Case(GET).raw() + HALF_A_HEAD)
    assert (await read_answer(reader)).status == 200
    taken = direct.taken
    if shed:
        service.delivery.shedder.reads.admitted = 0
    writer.write(Case(GET).raw())
    answer = await read_answer(reader)
    assert (answer.status, answer.closes) == (400, True), "it has two fields Host"
    assert direct.taken == taken
    writer.close()


async def test_a_stop_waits_for_what_is_under_way(start_service: ServiceFactory, database: Database) -> None:
    service = await start_service(stop_drain_seconds=60.0)
    await service.client.close()
    direct: Any = service.delivery.connections.direct
    reader, writer = await RawClient(*service.address).connect()
    async with suspended(database.cluster, database.cluster.primary, database.cluster.replica):
        writer.write(Case(GET).raw())
        await until(lambda: direct.taken == 1, "it is under way")
        drained = asyncio.create_task(service.server.drain(successor=False))
        await until(lambda: service.delivery.connections.closing, "it is told")
    answer = await read_answer(reader)
    assert (answer.status, answer.closes) == (200, True)
    assert await reader.read() == b""
    async with asyncio.timeout(20):
        await drained
    writer.close()


async def test_what_was_not_foreseen_is_a_500_and_the_connection_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    client = RawClient(*service.address)
    with monkeypatch.context() as patch:
        patch.setattr(popups, "answer", broken)
        answer = await client.send(Case(GET).raw())
    assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal")
    assert (await client.send(Case(GET).raw())).status == 200
    assert len(service.delivery.shedder.reads) == 0
    await client.close()


async def _ask(service: Service, case: Case) -> Answer:
    client = RawClient(*service.address)
    try:
        if not case.line.startswith("HEAD"):
            return await client.send(case.raw())
        reader, writer = await client.connect()
        writer.write(case.raw())
        head = await reader.readuntil(b"\r\n\r\n")
        return Answer(int(head.split(b" ")[1]), {}, b"")
    finally:
        await client.close()


def _without_own(body: bytes) -> bytes:
    return OWN.sub(b"", body)


def _lasting(answer: Answer) -> dict[str, str]:
    return {name: text for name, text in answer.headers.items() if name not in ("date", "content-length")}
