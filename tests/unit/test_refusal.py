"""What may be answered without the parser: one whole request, beyond any doubt."""

import json

import pytest

from api import errors
from api.http.refusal import is_whole_request, ready_made, wants_close

GET = b"GET /v1/popups?placement=home HTTP/1.1\r\nHost: test\r\n\r\n"
POST = b"POST /v1/impressions HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        POST,
        POST.replace(b"Content-Length: 2", b"content-length:2"),
        GET.replace(b"Host: test", b"Host: test\r\nContent-Length: 0"),
    ],
)
def test_a_whole_request(request_: bytes) -> None:
    assert is_whole_request(request_)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GET[:-2],
        GET + b"G",
        GET + GET,
        POST[:-1],
        POST + b"G",
        POST.replace(b": 2", b": 3"),
        POST.replace(b": 2", b": +2"),
        POST.replace(b": 2", b": 2, 2"),
        POST.replace(b"Length: 2", b"Length : 2"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
        POST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nExpect: 100-continue"),
        POST.replace(b"Content-Length: 2", b"X: \r\n Content-Length: 2"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GET.replace(b"\r\n", b"\n"),
    ],
)
def test_what_is_left_to_the_parser(data: bytes) -> None:
    assert not is_whole_request(data)


def test_who_wants_its_connection_to_end() -> None:
    assert wants_close(GET.replace(b"Host: test", b"Host: test\r\nConnection: close"))
    assert not wants_close(GET)
    assert not wants_close(POST + b"\r\nConnection: close\r\n")


def test_a_ready_made_answer_is_a_problem_document() -> None:
    head, _, body = ready_made(errors.OVERLOADED, "Wait.", retry_after_seconds=1).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert {"Retry-After: 1", "Connection: close", f"Content-Length: {len(body)}"} <= set(lines[1:])
    assert json.loads(body) == {
        "type": "about:blank",
        "title": errors.OVERLOADED.title,
        "status": 503,
        "code": "overloaded",
        "detail": "Wait.",
    }
