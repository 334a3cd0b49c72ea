"""Errors on the wire: RFC 9457 documents with stable codes, and no detail of what was not foreseen."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from api import errors
from api.errors import PASSING, Code, ProblemError, busy
from api.http.middleware import problems
from api.http.refusal import ready_made

Client = TestClient[web.Request, web.Application]
CODES = [value for value in vars(errors).values() if isinstance(value, Code)]


async def ask(request: web.Request) -> web.Response:
    """Fails in the way that the query names."""
    kind = request.query.get("kind")
    if kind == "problem":
        raise ProblemError(errors.INVALID, "caps.0.limit is 0", errors=[{"field": "caps.0.limit"}])
    if kind == "unauthorized":
        raise ProblemError(errors.UNAUTHORIZED, "Send a JWT.")
    if kind == "busy":
        raise busy(errors.BUFFER_FULL, "Later.", retry_after_seconds=7)
    if kind == "surrogate":
        raise ProblemError(errors.BAD_PARAMETER, "half a pair: \ud800")
    if kind == "moved":
        raise web.HTTPFound("/elsewhere")
    if kind == "gone":
        raise web.HTTPGone
    await request.read()
    raise RuntimeError("the password is hunter2")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application(middlewares=[problems], client_max_size=100)
    app.add_routes([web.get("/ask", ask), web.post("/ask", ask)])
    async with TestClient(TestServer(app)) as started:
        yield started


async def document(response: ClientResponse, code: Code) -> dict[str, Any]:
    text = await response.text()
    assert response.status == code.status, text
    assert response.content_type == "application/problem+json"
    read: dict[str, Any] = json.loads(text)
    assert (read["code"], read["status"], read["title"]) == (code.code, code.status, code.title)
    assert read["type"] == "about:blank"
    assert read["detail"]
    return read


def test_codes_are_unique_and_their_statuses_are_errors() -> None:
    assert len(CODES) > 15
    assert len({code.code for code in CODES}) == len(CODES)
    assert all(400 <= code.status <= 599 and code.title for code in CODES)


async def test_a_problem_has_its_code_detail_and_members(client: Client) -> None:
    async with client.get("/ask?kind=problem") as response:
        read = await document(response, errors.INVALID)
    assert read["detail"] == "caps.0.limit is 0"
    assert read["errors"] == [{"field": "caps.0.limit"}]


async def test_unauthorized_says_how_to_authenticate(client: Client) -> None:
    async with client.get("/ask?kind=unauthorized") as response:
        await document(response, errors.UNAUTHORIZED)
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_refusal_that_passes_says_when(client: Client) -> None:
    async with client.get("/ask?kind=busy") as response:
        await document(response, errors.BUFFER_FULL)
        assert response.headers["Retry-After"] == "7"


async def test_what_was_not_foreseen_is_logged_and_not_told(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "tayang.http"):
        async with client.get("/ask") as response:
            read = await document(response, errors.INTERNAL)
    assert "hunter2" not in json.dumps(read)
    assert "hunter2" in caplog.text
    assert "GET /ask failed" in caplog.text


async def test_the_servers_own_refusals(client: Client) -> None:
    async with client.get("/nowhere") as response:
        await document(response, errors.NOT_FOUND)
    async with client.delete("/ask") as response:
        await document(response, errors.METHOD_NOT_ALLOWED)
        assert response.headers["Allow"] == "GET,HEAD,POST"
    async with client.post("/ask", data=b"x" * 101) as response:
        await document(response, errors.TOO_LARGE)


async def test_a_refusal_without_a_code_of_ours_keeps_its_status(client: Client) -> None:
    async with client.get("/ask?kind=gone") as response:
        await document(response, Code("http_error", 410, "Gone"))


async def test_half_a_surrogate_pair_does_not_break_the_answer(client: Client) -> None:
    async with client.get("/ask?kind=surrogate") as response:
        assert response.status == 400
        assert b"half a pair" in await response.read()
        await document(response, errors.BAD_PARAMETER)


async def test_a_redirect_is_no_error(client: Client) -> None:
    async with client.get("/ask?kind=moved", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/elsewhere")


def test_whatever_passes_by_itself_says_when_to_ask_again() -> None:
    """However it is raised: also by who forgets it."""
    passing = [code for code in CODES if code.status in PASSING]
    assert {code.status for code in passing} >= {503}
    for code in CODES:
        headers = ProblemError(code, "Later.").response().headers
        assert ("Retry-After" in headers) == (code in passing), code
    assert busy(errors.BUFFER_FULL, "Later.", retry_after_seconds=7).response().headers["Retry-After"] == "7"
    for closes in (True, False):
        assert b"\r\nRetry-After: 1\r\n" in ready_made(errors.OVERLOADED, "Later.", closes=closes)


def test_no_cache_keeps_a_refusal() -> None:
    for code in CODES:
        headers = ProblemError(code, "No.").response().headers
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
