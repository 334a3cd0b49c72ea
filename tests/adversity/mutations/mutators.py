"""What is done to a request: strategies for hypothesis, from a good request to one that may be anything."""

import copy
import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

from tests.adversity.mutations.requests import Request

Draw = Callable[[st.SearchStrategy[Any]], Any]
Mutator = Callable[[Draw, Request], Request]

_NASTY: Final = (
    "\0",
    "\ud800",
    "\udfff\ud800",
    "a\0b",
    "\u202e",
    "﷽" * 50,
    "'; DROP TABLE campaigns; --",
    "a" * 300,
    "9" * 400,
    "",
    " ",
    "NaN",
    "null",
    "1e999",
    "-1",
    "../..",
    "%00",
    "0x10",
    "2026-13-45T99:99:99Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "٣",
    "1_0",
)
_SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NASTY),
    st.text(max_size=20),
    st.integers(-(2**70), 2**70),
    st.sampled_from((10**400, -1, 2**31, 2**63, 0)),
    st.floats(),
)
_VALUES: Final = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_BROKEN_JSON: Final = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"a":1,"a":2}',
    b"[" * 60_000,
    b'{"a":' * 60_000,
    b"9" * 5000,
    b'{"a":1e400}',
    b'{"a":NaN}',
    b'{"token":Infinity}',
    b'{"a":"\x01"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xed\xa0\x80"}',
    b"{}{}",
    b'{"a":1}//',
    b"\0",
    b"{'a':1}",
    b'{"' + b"k" * 9000 + b'":1}',
)
_NAMES: Final = (
    b"Authorization",
    b"Content-Type",
    b"If-Match",
    b"If-None-Match",
    b"Accept",
    b"Accept-Encoding",
    b"Expect",
    b"Cookie",
    b"Host",
    b"Origin",
    b"Range",
    b"Upgrade",
    b"Connection",
    b"Content-Encoding",
    b"Forwarded",
    b"TE",
    b"X-HTTP-Method-Override",
    b"Trailer",
    b"If-Modified-Since",
    b"User-Agent",
)
_FIELD_VALUES: Final = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        (
            b"",
            b"*",
            b'W/"1"',
            b'"1", "2"',
            b"Bearer",
            b"Bearer " + b"x" * 4000,
            b"Bearer tyk_000000000000_" + b"0" * 64,
            b"application/json; charset=utf-16",
            b"text/csv",
            b"100-continue",
            b"200-maybe",
            b"gzip",
            b"gzip, br",
            b"h2c",
            b"websocket",
            b"upgrade",
            b"close",
            b"a\0b",
            b"a\rb",
            b"a\nb",
            b"\xff",
            b"bytes=0-1",
            b"identity;q=0",
            b"null",
        )
    ),
)
_BOMB_BYTES: Final = 30_000_000
_SMUGGLED: Final = b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
_FRAMINGS: Final[tuple[tuple[str, tuple[tuple[bytes, bytes], ...], bytes], ...]] = (
    (
        "length and chunks",
        ((b"Content-Length", b"4"), (b"Transfer-Encoding", b"chunked")),
        b"0\r\n\r\n" + _SMUGGLED,
    ),
    (
        "chunks and length",
        ((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"4")),
        b"0\r\n\r\n" + _SMUGGLED,
    ),
    ("two lengths", ((b"Content-Length", b"2"), (b"Content-Length", b"45")), b"{}" + _SMUGGLED),
    ("equal lengths", ((b"Content-Length", b"2"), (b"Content-Length", b"2")), b"{}"),
    ("a list of lengths", ((b"Content-Length", b"2, 2"),), b"{}"),
    ("length below zero", ((b"Content-Length", b"-1"),), b"{}"),
    ("length with a sign", ((b"Content-Length", b"+2"),), b"{}"),
    ("length in hex", ((b"Content-Length", b"0x2"),), b"{}"),
    ("endless length", ((b"Content-Length", b"9" * 30),), b"{}"),
    ("length of 8 EiB", ((b"Content-Length", str(2**63 - 1).encode()),), b"{}"),
    ("spoilt chunked", ((b"Transfer-Encoding", b"\x0bchunked"),), b"0\r\n\r\n" + _SMUGGLED),
    ("xchunked", ((b"Transfer-Encoding", b"xchunked"),), b"0\r\n\r\n" + _SMUGGLED),
    ("chunked twice", ((b"Transfer-Encoding", b"chunked, chunked"),), b"0\r\n\r\n" + _SMUGGLED),
    ("not chunked at last", ((b"Transfer-Encoding", b"chunked, identity"),), b"0\r\n\r\n" + _SMUGGLED),
    ("space before the colon", ((b"Content-Length ", b"2"),), b"{}"),
    ("folded length", ((b"Content-Length", b"\r\n 2"),), b"{}"),
    (
        "chunk extension",
        ((b"Transfer-Encoding", b"chunked"),),
        b"2;a=" + b"b" * 5000 + b"\r\n{}\r\n0\r\n\r\n",
    ),
    ("no chunk size", ((b"Transfer-Encoding", b"chunked"),), b"\r\n{}\r\n0\r\n\r\n"),
    ("chunk size of letters", ((b"Transfer-Encoding", b"chunked"),), b"zz\r\n{}\r\n0\r\n\r\n"),
    ("chunk size below zero", ((b"Transfer-Encoding", b"chunked"),), b"-2\r\n{}\r\n0\r\n\r\n"),
    ("endless chunk size", ((b"Transfer-Encoding", b"chunked"),), b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n"),
    ("chunk longer than it says", ((b"Transfer-Encoding", b"chunked"),), b"2\r\n{}{}\r\n0\r\n\r\n"),
    ("chunks with bare LF", ((b"Transfer-Encoding", b"chunked"),), b"2\n{}\n0\n\n"),
    ("trailers", ((b"Transfer-Encoding", b"chunked"),), b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"),
)


def value_in_body(draw: Draw, request: Request) -> Request:
    """One value of the document, somewhere, is another."""
    if request.document is None:
        return broken_body(draw, request)
    document = copy.deepcopy(request.document)
    place: Any = document
    while True:
        keys: Sequence[Any] = list(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(keys))
        if not (isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans())):
            break
        place = place[key]
    place[key] = draw(_VALUES)
    if isinstance(place, dict) and draw(st.booleans()):
        place[draw(st.text(max_size=8))] = draw(_VALUES)
    return request.noted("a value of the body", body=json.dumps(document).encode())


def broken_body(draw: Draw, request: Request) -> Request:
    if draw(st.booleans()):
        return request.noted("a broken body", body=draw(st.sampled_from(_BROKEN_JSON)))
    body = bytearray(request.body)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return request.noted("spoilt bytes of the body", body=bytes(body))


def large_body(draw: Draw, request: Request) -> Request:
    size = draw(st.sampled_from((70_000, 262_144, 262_145, 1_048_577, 3_000_000)))
    byte = draw(st.sampled_from((b" ", b"[", b"a\n", b"\0")))
    return request.noted("a large body", body=(byte * size)[:size])


def encoded_body(draw: Draw, request: Request) -> Request:
    """Gzip: sound, cut, spoilt, a bomb; or something else under its name, or another name."""
    name = draw(
        st.sampled_from((b"gzip", b"x-gzip", b"GZIP", b"deflate", b"br", b"zstd", b"gzip, gzip", b"\xff"))
    )
    content = draw(st.sampled_from((request.body, b"{}", b"", None)))
    pack = draw(st.sampled_from(_PACKERS))
    body = _bomb(pack) if content is None else pack(content)
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, min(len(body), 60)))] + draw(st.binary(max_size=4))
    return request.with_field(b"Content-Encoding", name).noted("an encoded body", body=body)


@cache
def _bomb(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(bytes(_BOMB_BYTES))[: _BOMB_BYTES // 100]


def _as_it_is(content: bytes) -> bytes:
    return content


_PACKERS: Final = (gzip.compress, zlib.compress, _as_it_is)


def field(draw: Draw, request: Request) -> Request:
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(_NAMES) | st.binary(min_size=1, max_size=12))
        value = draw(_FIELD_VALUES)
        request = request.with_field(name, value).noted(f"the field {name!r}")
    return request


def many_fields(draw: Draw, request: Request) -> Request:
    count, size = draw(
        st.sampled_from(((101, 1), (2000, 1), (1, 9000), (1, 200_000), (20, 8000), (99, 1000)))
    )
    more = tuple((b"X-%d" % number, b"a" * size) for number in range(count))
    return request.noted("a flood of fields", fields=request.fields + more)


def query(draw: Draw, request: Request) -> Request:
    names = [name for name, _ in request.query] + [
        b"limit",
        b"cursor",
        b"user_id",
        b"preview",
        b"session",
        b"",
    ]
    values = st.binary(max_size=12).map(lambda value: quote_from_bytes(value).encode()) | st.sampled_from(
        (
            b"%",
            b"%zz",
            b"%ff",
            b"%00",
            b"%ed%a0%80",
            b"9" * 40,
            b"-1",
            b"a" * 3000,
            b"+",
            b"%F0%9F%8E%89",
            b"WyJrZXlzIiwxXQ",
        )
    )
    pairs = dict(request.query)
    changed = [
        (name, draw(values)) for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    ]
    kept = [pair for pair in pairs.items() if pair[0] not in dict(changed)]
    more = draw(st.sampled_from((0, 0, 0, 100)))
    return request.noted("the query", query=(*kept, *changed, *(((b"q", b"1"),) * more)))


def target(draw: Draw, request: Request) -> Request:
    parts = request.target.split(b"/")
    at = draw(st.integers(1, len(parts) - 1))
    parts[at] = draw(
        st.binary(max_size=6).map(lambda value: quote_from_bytes(value, safe="").encode())
        | st.binary(max_size=3)
        | st.sampled_from(
            (
                b"..",
                b".",
                b"",
                b"%2e%2e",
                b"%2F",
                b"%",
                b"%ff",
                b"%00",
                b"9" * 70,
                b"a" * 9000,
                b"{id}",
                b"\xc3\xbc",
            )
        )
    )
    return request.noted("the path", target=b"/".join(parts))


def request_line(draw: Draw, request: Request) -> Request:
    methods = (
        b"OPTIONS",
        b"TRACE",
        b"CONNECT",
        b"HEAD",
        b"DELETE",
        b"GET",
        b"PATCH",
        b"get",
        b"M-SEARCH",
        b"\xff",
        b"",
        b"A" * 9000,
    )
    versions = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.10", b"", b"HTTP/1.1 x")
    return request.noted(
        "the request line", method=draw(st.sampled_from(methods)), version=draw(st.sampled_from(versions))
    )


def framing(draw: Draw, request: Request) -> Request:
    name, fields, body = draw(st.sampled_from(_FRAMINGS))
    return request.noted(f"framing: {name}", framing=fields, body=body)


def slow(draw: Draw, request: Request) -> Request:
    """The rest never comes."""
    whole = len(request.written())
    head = whole - len(request.body)
    # The admin API waits half a minute for bodies: of those only the heads are slow here.
    last = head - 1 if request.target.startswith(b"/v1/admin") or not request.body else whole - 1
    return request.noted("a part only", stops_after=draw(st.integers(1, last)))


def two(draw: Draw, request: Request) -> Request:
    for mutate in draw(st.lists(st.sampled_from(SIMPLE), min_size=2, max_size=2)):
        request = mutate(draw, request)
    return request


SIMPLE: Final[tuple[Mutator, ...]] = (value_in_body, broken_body, encoded_body, field, query, target)
ALL: Final[tuple[Mutator, ...]] = (
    *SIMPLE,
    value_in_body,
    value_in_body,
    query,
    field,
    two,
    two,
    large_body,
    many_fields,
    request_line,
    framing,
    framing,
)


@st.composite
def mutated(draw: Draw, good: Sequence[Request]) -> Request:
    request: Request = draw(st.sampled_from(good))
    if draw(st.integers(0, 49)) == 0:
        return slow(draw, request)
    mutate: Mutator = draw(st.sampled_from(ALL))
    return mutate(draw, request)
