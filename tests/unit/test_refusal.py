"""Refusals that are ready-made."""

import json

from api import errors
from api.http.refusal import ready_made, wants_close

GET = b"GET /v1/popups?placement=home HTTP/1.1\r\nHost: test\r\n\r\n"
POST = b"POST /v1/impressions HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"


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
