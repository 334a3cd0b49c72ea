"""The edges of HTTP, byte by byte: whatever is wrong gets a problem document with the right code."""

import gzip
import json
import logging
from typing import Final

import pytest

from tests.support.raw_http import Answer, RawClient
from tests.support.service import ADMIN_KEY, Service, ServiceFactory, bearer
from tests.support.waiting import until

CAMPAIGNS: Final = "POST /v1/admin/campaigns"
IMPRESSIONS: Final = "POST /v1/impressions"
JSON: Final = "Content-Type: application/json\r\n"
CHUNKED: Final = "Transfer-Encoding: chunked\r\n"
GZIP: Final = "Content-Encoding: gzip\r\n"
TWICE: Final = "Content-Length: 2\r\n" * 2


def asked(target: str, fields: str = "", body: bytes = b"", *, length: bool = True) -> bytes:
    """A request of one who may: `target` is method and path."""
    key = ADMIN_KEY if "/v1/admin" in target else bearer("ani")["Authorization"].split()[1]
    size = f"Content-Length: {len(body)}\r\n" if body and length else ""
    head = f"{target} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n{fields}{size}\r\n"
    return head.encode("latin-1") + body


async def answered(service: Service, request: bytes) -> Answer:
    client = RawClient(*service.address)
    try:
        return await client.send(request)
    finally:
        await client.close()


def problem(answer: Answer) -> tuple[int, str, str]:
    """Status, code and detail, after checking what every problem has."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    return answer.status, document["code"], document["detail"]


#: Request → status, code, and what the detail names.
TABLE: Final = {
    "no such path": (asked("GET /nowhere"), 404, "not_found", ""),
    "no such method": (asked("DELETE /v1/popups"), 405, "method_not_allowed", ""),
    "no HTTP method": (asked("FOO /v1/popups"), 400, "bad_request", "method"),
    "path is not UTF-8": (asked("GET /v1/admin/campaigns/%ff"), 400, "bad_request", "path"),
    "path with half a surrogate": (asked("PUT /v1/admin/test-users/%ed%a0%80"), 400, "bad_request", "path"),
    "path with a bare %": (asked("PUT /v1/admin/test-users/100%"), 400, "bad_request", "path"),
    "query is not UTF-8": (asked("GET /v1/admin/campaigns?placement=%ff"), 400, "bad_parameter", "placement"),
    "query with a bare %": (asked("GET /v1/popups?placement=%zz"), 400, "bad_parameter", "placement"),
    "own parameter with a bare %": (
        asked("GET /v1/popups?placement=home&session=%f"),
        400,
        "bad_parameter",
        "session",
    ),
    "own parameter is not UTF-8": (
        asked("GET /v1/popups?placement=home&session=%ff"),
        400,
        "bad_parameter",
        "session",
    ),
    "parameter twice": (asked("GET /v1/admin/campaigns?limit=1&limit=1"), 400, "bad_parameter", "limit"),
    "unknown Expect": (
        asked(IMPRESSIONS, JSON + "Expect: cake\r\n", b"{}"),
        417,
        "expectation_failed",
        "Expect",
    ),
    "unknown Expect, no such path": (
        asked("GET /no", "Expect: cake\r\n"),
        417,
        "expectation_failed",
        "Expect",
    ),
    "Expect of no characters": (
        asked("GET /healthz", "Expect: \xa9\r\n"),
        417,
        "expectation_failed",
        "Expect",
    ),
    "no JSON": (asked(CAMPAIGNS, JSON, b"{"), 400, "bad_json", "line 1"),
    "too deep": (asked(CAMPAIGNS, JSON, b'{"key":' + b"[" * 50_000), 400, "bad_json", "deep"),
    "too deep an event": (asked(IMPRESSIONS, JSON, b"[" * 50_000), 400, "bad_json", "recursion"),
    "not UTF-8": (asked(CAMPAIGNS, JSON, b'{"key":"\xff"}'), 400, "bad_json", "byte 8"),
    "an event not in UTF-8": (asked(IMPRESSIONS, JSON, b'{"token":"\xff"}'), 400, "bad_json", "line 1"),
    "name twice": (asked(CAMPAIGNS, JSON, b'{"key":1,"key":2}'), 400, "bad_json", "key"),
    "NaN": (asked(CAMPAIGNS, JSON, b'{"priority":NaN}'), 400, "bad_json", "NaN"),
    "NaN in an event": (asked(IMPRESSIONS, JSON, b'{"token":NaN}'), 400, "bad_json", "line 1"),
    "too long a number": (
        asked(CAMPAIGNS, JSON, b'{"priority":' + b"9" * 5000 + b"}"),
        400,
        "bad_json",
        "digits",
    ),
    "media type": (
        asked(CAMPAIGNS, "Content-Type: text/plain\r\n", b"{}"),
        415,
        "unsupported_media_type",
        "json",
    ),
    "encoding": (
        asked(CAMPAIGNS, JSON + "Content-Encoding: br\r\n", b"{}"),
        415,
        "unsupported_encoding",
        "gzip",
    ),
    "encoding of an event": (
        asked(IMPRESSIONS, JSON + "Content-Encoding: zstd\r\n", b"{}"),
        415,
        "unsupported_encoding",
        "gzip",
    ),
    "encoded twice": (
        asked(IMPRESSIONS, JSON + "Content-Encoding: gzip, gzip\r\n", b"{}"),
        415,
        "unsupported_encoding",
        "gzip",
    ),
    "no gzip": (asked(CAMPAIGNS, JSON + GZIP, b"{}"), 400, "bad_request", "gzip"),
    "an event that is no gzip": (asked(IMPRESSIONS, JSON + GZIP, b"{}"), 400, "bad_request", "gzip"),
    "half a gzip": (asked(IMPRESSIONS, JSON + GZIP, gzip.compress(b"{}")[:-9]), 400, "bad_request", "gzip"),
    "gzip bomb": (
        asked(CAMPAIGNS, JSON + GZIP, gzip.compress(bytes(20_000_000))),
        413,
        "too_large",
        "1048576",
    ),
    "gzip bomb as event": (
        asked(IMPRESSIONS, JSON + GZIP, gzip.compress(bytes(20_000_000))),
        413,
        "too_large",
        "262144",
    ),
    "says that it is too large": (
        asked(IMPRESSIONS, JSON + "Content-Length: 99999999999\r\n", b"{", length=False),
        413,
        "too_large",
        "262144",
    ),
    "length and chunks": (
        asked(IMPRESSIONS, JSON + CHUNKED, b"2\r\n{}\r\n0\r\n\r\n"),
        400,
        "bad_request",
        "Transfer-Encoding",
    ),
    "two lengths": (
        asked(IMPRESSIONS, JSON + TWICE, b"{}", length=False),
        400,
        "bad_request",
        "Content-Length",
    ),
    "length below zero": (
        asked(IMPRESSIONS, "Content-Length: -2\r\n", b"{}", length=False),
        400,
        "bad_request",
        "Content-Length",
    ),
    "no chunk size": (
        asked(IMPRESSIONS, JSON + CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n", length=False),
        400,
        "bad_request",
        "chunk",
    ),
    "chunk without an end": (
        asked(CAMPAIGNS, JSON + CHUNKED, b"2\r\n{}XX0\r\n\r\n", length=False),
        400,
        "bad_request",
        "chunk",
    ),
    "chunked, and not at last": (
        asked(CAMPAIGNS, "Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n", length=False),
        400,
        "bad_request",
        "Transf",
    ),
    "space before a colon": (asked("GET /healthz", "X-A : b\r\n"), 400, "bad_request", "header"),
    "folded field": (asked("GET /healthz", "X-A: b\r\n c\r\n"), 400, "bad_request", "header"),
    "NUL in a field": (asked("GET /healthz", "X-A: a\0b\r\n"), 400, "bad_request", "header"),
    "two hosts": (asked("GET /healthz", "Host: b\r\n"), 400, "bad_request", "Host"),
    "no version like that": (
        asked("PUT /v1/admin/campaigns/1", JSON + "If-Match: 1\r\n", b"{}"),
        400,
        "bad_request",
        "If-Match",
    ),
}


async def test_whatever_is_wrong_gets_a_problem_that_names_it(service: Service) -> None:
    found = {}
    for name, (request, _, _, named) in TABLE.items():
        status, code, detail = problem(await answered(service, request))
        found[name] = (status, code, named if named.lower() in detail.lower() else detail)
    assert found == {name: row[1:] for name, row in TABLE.items()}
    async with service.client.get("/healthz") as response:
        assert response.status == 200


async def test_gzip_is_taken_in_several_members_too(service: Service) -> None:
    await service.create("sale")
    token = (await service.popups("ani"))[0]["token"]
    body = json.dumps({"token": token}).encode()
    packed = gzip.compress(body[:10]) + gzip.compress(body[10:])
    answer = await answered(service, asked(IMPRESSIONS, JSON + GZIP, packed))
    assert (answer.status, json.loads(answer.body)["accepted"]) == (202, 1)
    document = {"name": "Café"}
    packed = gzip.compress(json.dumps(document).encode())
    answer = await answered(
        service, asked("PATCH /v1/admin/campaigns/sale", JSON + GZIP + "If-Match: *\r\n", packed)
    )
    assert (answer.status, json.loads(answer.body)["name"]) == (200, "Café")


async def test_405_says_what_is_allowed_and_head_is_get_without_a_body(service: Service) -> None:
    answer = await answered(service, asked("POST /v1/admin/policy"))
    assert (answer.status, answer.headers["allow"]) == (405, "GET,HEAD,PUT")
    async with service.client.head("/v1/popups", headers=bearer("ani")) as response:
        # What it would have told is noted as served: nobody should ask for popups and not look at them.
        assert (response.status, response.headers["Allow"]) == (405, "GET")
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with service.client.head("/v1/admin/policy", headers=headers) as response:
        head = {name: value for name, value in response.headers.items() if name != "Date"}
    async with service.client.get("/v1/admin/policy", headers=headers) as response:
        assert head == {name: value for name, value in response.headers.items() if name != "Date"}


@pytest.mark.parametrize("accept", ["application/xml", "image/*", "application/json;q=0"])
async def test_who_accepts_no_json_gets_it_all_the_same(service: Service, accept: str) -> None:
    headers = {"Accept": accept, **bearer("ani")}
    async with service.client.get("/v1/popups?placement=home", headers=headers) as response:
        assert (response.status, response.content_type) == (200, "application/json")


async def test_unknown_parameters_of_reads_are_ignored(service: Service) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with service.client.get("/v1/admin/campaigns?lmit=1&%C3%BC=%20", headers=headers) as response:
        assert response.status == 200


async def test_what_clients_do_wrong_fills_no_log(
    start_service: ServiceFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """An app that loses its network in the middle of a body is no failure of ours, nor is a broken body."""
    service = await start_service(body_timeout_seconds=20.0)
    half = asked(IMPRESSIONS, JSON + "Content-Length: 100\r\n", b"{", length=False)
    with caplog.at_level(logging.DEBUG, logger="tayang.http"):
        client = RawClient(*service.address)
        _, writer = await client.connect()
        writer.write(half)
        await until(lambda: len(service.delivery.shedder.writes) == 1, "it waits for the rest")
        writer.transport.abort()
        await until(lambda: "went away" in caplog.text, "it was noticed")
        for broken in (b"2\r\n{}\r\nzz\r\n", b"2\r\n{}XX"):
            problem(await answered(service, asked(IMPRESSIONS, JSON + CHUNKED, broken, length=False)))
    await client.close()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
