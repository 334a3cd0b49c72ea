"""Requests read from bytes: never otherwise than aiohttp's parser reads them, wherever packets are cut."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from hypothesis import example, given
from hypothesis import strategies as st

from api.http.framing import Framing, Ordinary, is_whole_request, ordinary

GET = b"GET /v1/popups?placement=home HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer x\r\n\r\n"
POST = b"POST /v1/impressions HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"
HEAD_MAX_BYTES = 1000
ENDPOINTS = (b"GET /v1/popups", b"POST /v1/impressions", b"POST /v1/interactions")
#: Not one whole request, so not an ordinary one either.
NOT_WHOLE = [
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
    POST.replace(b": 2", b": " + b"2" * 5000),
]


def read(data: bytes) -> Ordinary | None:
    return ordinary(data, ENDPOINTS, head_max_bytes=HEAD_MAX_BYTES, max_fields=8)


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        (GET, Ordinary(b"GET /v1/popups", "placement=home", "Bearer x", b"")),
        (POST, Ordinary(b"POST /v1/impressions", "", None, b"{}")),
        (POST.replace(b"impressions", b"interactions"), Ordinary(b"POST /v1/interactions", "", None, b"{}")),
        (POST.replace(b"Content-Length", b"content-length"), read(POST)),
        (GET.replace(b"Authorization: Bearer x", b"aUTHORIZATION:  Bearer x "), read(GET)),
        (GET.replace(b"Host: test", b"Host: test\r\nContent-Length: 0"), read(GET)),
        (GET.replace(b"Host: test", b"Host: test\r\nX-Request-Id: \r\nTE: trailers"), read(GET)),
    ],
)
def test_an_ordinary_request(data: bytes, request_: Ordinary) -> None:
    assert read(data) == request_
    assert request_ is not None


@pytest.mark.parametrize(
    "data",
    [
        *NOT_WHOLE,
        GET[:-1],
        GET.replace(b"GET", b"HEAD"),
        GET.replace(b"/v1/popups", b"/v1/pop%75ps"),
        GET.replace(b"/v1/popups", b"http://test/v1/popups"),
        GET.replace(b"home", b"home#top"),
        GET.replace(b"home", b"h\xc3\xb6me"),
        GET.replace(b"home", b"ho me"),
        GET.replace(b"Host: test\r\n", b""),
        GET.replace(b"Host: test", b"Host: test\r\nHost: test"),
        GET.replace(b"Host: test", b"Host: test\r\nauthorization: Bearer y"),
        GET.replace(b"Host: test", b"Host : test"),
        GET.replace(b"Host: test", b"Host: test\r\n folded"),
        GET.replace(b"Host: test", b"Host: t\xc3\xa9st"),
        GET.replace(b"Host: test", b"Host: te\x00st"),
        GET.replace(b"Host: test", b"Host: te\nst"),
        GET.replace(b"Host: test", b"Host: test\r\n: nameless"),
        GET.replace(b"Host: test", b"Host: test\r\nnothing"),
        GET.replace(b"Host: test", b"Host: test\r\nX: " + b"x" * HEAD_MAX_BYTES),
        GET.replace(b"Host: test", b"Host: test" + b"".join(b"\r\nX-%d: x" % n for n in range(7))),
        *(
            GET.replace(b"Host: test", b"Host: test\r\n" + field)
            for field in (
                b"Connection: close",
                b"Proxy-Connection: close",
                b"Origin: https://example.com",
                b"Upgrade: websocket",
                b"Content-Length: 1",
            )
        ),
        POST.replace(b": 2", b": 02"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Encoding: gzip"),
    ],
)
def test_what_is_left_to_the_parser(data: bytes) -> None:
    assert read(data) is None


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        POST,
        POST.replace(b"Content-Length: 2", b"content-length:2"),
        GET.replace(b"Host: test", b"Host: test\r\nContent-Length: 0"),
    ],
)
def test_a_whole_request_may_be_refused(request_: bytes) -> None:
    assert is_whole_request(request_)


@pytest.mark.parametrize("data", NOT_WHOLE)
def test_what_the_parser_has_to_refuse(data: bytes) -> None:
    assert not is_whole_request(data)


#: Half of the requests are made of these, of which most are read here; the others have an odd piece or two.
LINES = st.sampled_from(
    [
        *("GET /v1/popups HTTP/1.1", "GET /v1/popups?a=%ff&b=/?%zz HTTP/1.1", "GET /v1/popups? HTTP/1.1"),
        *("POST /v1/impressions HTTP/1.1", "POST /v1/interactions?user_id=a HTTP/1.1"),
    ]
)
FIELDS = (
    "Authorization: Bearer a.b.c",
    "X-A:",
    "x-b:  c: d ",
    "Accept: */*",
    "User-Agent: a/1 (b; c)",
    "TE: x",
)
ODD_LINES = st.sampled_from(
    [
        "GET /v1/popups HTTP/1.0",
        "GET  /v1/popups HTTP/1.1",
        "get /v1/popups HTTP/1.1",
        "GET /v1/popups?# HTTP/1.1",
    ]
)
ODD_FIELDS = st.sampled_from(
    [
        "host:test",
        "authorization:x ",
        "X-A: b\tc",
        "Content-Length: 0",
        "Content-Length: 2, 2",
        "Expect: x",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Upgrade: x",
        "Content-Encoding: gzip",
        "nothing",
        "X A: b",
        " folded: x",
        "X-\xe9: a",
        "X-A: \xe9",
        "X-A: \x7f",
        "X-A: \x00",
        "",
        "a\nb: c",
        "Ho\rst: x",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    odd = draw(st.booleans())
    line = draw(LINES | ODD_LINES if odd else LINES)
    body = draw(st.sampled_from(["", "{}", GET.decode()]))
    length = [f"Content-Length: {len(body)}"] if body else []
    fields = ["Host: test", *length, *draw(st.sets(st.sampled_from(FIELDS)))]
    if odd:
        fields += draw(st.lists(ODD_FIELDS, max_size=2))
    head = "".join(f"{each}\r\n" for each in (line, *draw(st.permutations(fields))))
    return f"{head}\r\n{body}".encode("latin-1")


@given(requests())
@example(GET)
@example(POST)
def test_what_is_read_here_aiohttp_reads_as_the_same(data: bytes) -> None:
    known = read(data)
    if known is None:
        return
    first, second = asyncio.run(_parsed(data, GET))
    assert len(first) == 1
    assert len(second) == 1, "and where it ends"
    message, body = first[0]
    path, _, query = message.path.partition("?")
    assert (f"{message.method} {path}".encode(), query, body) == (known.endpoint, known.query, known.body)
    assert message.headers.getall("Authorization", []) == (
        [known.authorization] * (known.authorization is not None)
    )
    assert (message.should_close, message.upgrade, message.chunked) == (False, False, False)
    assert message.compression is None


STREAM = st.lists(
    st.sampled_from(
        [
            GET,
            POST,
            b"HEAD /healthz HTTP/1.0\r\n\r\n",
            b"PUT /v1/admin/campaigns/a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n\r\n\r\nx",
        ]
    ),
    max_size=4,
)


@given(STREAM, st.lists(st.integers(0, 400)))
def test_a_start_is_known_wherever_packets_end(stream: Sequence[bytes], cuts: Sequence[int]) -> None:
    whole = b"".join(stream)
    starts = {sum(map(len, stream[:count])) for count in range(len(stream) + 1)}
    framing = Framing(HEAD_MAX_BYTES)
    for begin, end in pairwise(sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})):
        framing.feed(whole[begin:end])
        assert framing.at_start == (end in starts)


@pytest.mark.parametrize(
    "data",
    [
        POST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
        POST.replace(b": 2", b": x"),
        POST.replace(b": 2", b": " + b"2" * 5000),
        GET.replace(b"Host: test", b"Host: test\r\n folded"),
        GET.replace(b"Host: test", b"Upgrade: x"),
        GET.replace(b" HTTP/1.1", b""),
        b"CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n",
        GET[:-2] + b"X: " + b"x" * HEAD_MAX_BYTES,
        b"x" * (HEAD_MAX_BYTES + 1),
    ],
)
def test_a_place_that_is_lost_is_not_found_again(data: bytes) -> None:
    framing = Framing(HEAD_MAX_BYTES)
    framing.feed(data)
    assert not framing.at_start
    framing.feed(GET)
    assert not framing.at_start


async def _parsed(*packets: bytes) -> list[list[tuple[RawRequestMessage, bytes]]]:
    parser: Any = HttpRequestParser(
        _Protocol(),  # type: ignore[arg-type]
        asyncio.get_running_loop(),
        2**16,
    )
    found = []
    for packet in packets:
        messages = parser.feed_data(packet)[0]
        found.append([(message, await payload.read()) for message, payload in messages])
    return found


class _Protocol:
    """What the parser's bodies ask of a connection."""

    _reading_paused = False

    def pause_reading(self, **_: object) -> None: ...

    def resume_reading(self, **_: object) -> None: ...
