"""Ordinary requests, read from the bytes of one packet; and whether a packet begins where a request does.

aiohttp's parser makes objects of all that a request says; apps' requests are read here for what they are
asked for, in half of the time (docs/decisions/0041-read-from-bytes.md). Two readings of where a request ends
are how requests are smuggled, so nothing is guessed: of a field that comes twice, a body in chunks, or an
unusual character `ordinary` says None, and `Framing` that it has lost its place. Then the parser decides.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

_END: Final = b"\r\n\r\n"
_ALPHANUMERIC: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#: RFC 3986, 3.4: what may stand in a query.
_QUERY: Final = _ALPHANUMERIC + b"-._~!$&'()*+,;=:@/?%"
#: RFC 9110, 5.6.2, without characters that no field's name has. And what is printable, for their values.
_NAME: Final = _ALPHANUMERIC + b"-_"
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
#: Fields that change where a request ends, or when its body is sent.
_FRAMING: Final = frozenset((b"transfer-encoding", b"upgrade", b"expect"))
#: ... and what its answer has to be. llhttp takes Proxy-Connection for Connection.
_UNUSUAL: Final = _FRAMING | {b"connection", b"proxy-connection", b"origin", b"content-encoding"}
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
#: More than any body's length has. Python refuses to read thousands of them.
_LENGTH_MAX_DIGITS: Final = 18


class Ordinary(NamedTuple):
    """`endpoint` is method and path. The query string and the Authorization header are as they were sent."""

    endpoint: bytes
    query: str
    authorization: str | None
    body: bytes


def ordinary(
    data: bytes, endpoints: Collection[bytes], *, head_max_bytes: int, max_fields: int
) -> Ordinary | None:
    """The one request of these endpoints that `data` is, from its beginning to its end.

    None: it is not, or not beyond doubt.
    """
    head, end, body = data.partition(_END)
    if not end or len(head) > head_max_bytes:
        return None
    line, *lines = head.split(b"\r\n")
    target, _, version = line.rpartition(b" ")
    endpoint, _, query = target.partition(b"?")
    if endpoint not in endpoints or version != b"HTTP/1.1" or query.translate(None, _QUERY):
        return None
    fields = _fields(lines)
    if fields is None or len(fields) > max_fields or b"host" not in fields or not _UNUSUAL.isdisjoint(fields):
        return None
    length = fields.get(b"content-length")
    if body if length is None else length.strip(b" ") != b"%d" % len(body):
        return None
    authorization = fields.get(b"authorization")
    sent = None if authorization is None else authorization.strip(b" ").decode()
    return Ordinary(endpoint, query.decode(), sent, body)


def is_whole_request(data: bytes) -> bool:
    """Whether the bytes are one HTTP/1.1 request from its beginning to its end, so that it can be refused."""
    head, end, body = data.partition(_END)
    line = head.partition(b"\r\n")[0]
    return bool(end) and line.endswith(b" HTTP/1.1") and _body_bytes(head) == len(body)


class Framing:
    """Whether the next byte of a connection is the first of a request. Fed with all that the parser gets."""

    __slots__ = ("_body_bytes", "_head", "_head_max_bytes", "_lost")

    def __init__(self, head_max_bytes: int) -> None:
        self._head_max_bytes = head_max_bytes
        self._head = b""  # so much of it as has come
        self._body_bytes = 0  # still to come
        self._lost = False  # for good

    @property
    def at_start(self) -> bool:
        return not (self._lost or self._head or self._body_bytes)

    def feed(self, data: bytes) -> None:
        while data and not self._lost:
            skipped = min(self._body_bytes, len(data))
            self._body_bytes -= skipped
            head, end, data = (self._head + data[skipped:]).partition(_END)
            self._head = b"" if end else head
            length = _body_bytes(head) if end else 0
            if length is None or len(head) > self._head_max_bytes:
                self._lost, self._head = True, b""
            elif end:
                self._body_bytes = length


def _body_bytes(head: bytes) -> int | None:
    """How many come after this head; None if it can't be told."""
    line, *lines = head.split(b"\r\n")
    method, _, rest = line.partition(b" ")
    _, _, version = rest.rpartition(b" ")
    fields = _fields(lines)
    if version not in _VERSIONS or method == b"CONNECT" or not method.isalpha():
        return None
    if fields is None or not _FRAMING.isdisjoint(fields):
        return None
    length = fields.get(b"content-length", b"0").strip(b" ")
    return int(length) if length.isdigit() and len(length) <= _LENGTH_MAX_DIGITS else None


def _fields(lines: list[bytes]) -> Mapping[bytes, bytes] | None:
    """By name in lower case, with spaces around; None if one comes twice, or if a line may be none."""
    if b"".join(lines).translate(None, _PRINTABLE):
        return None
    fields = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name:
            return None
        fields[name.lower()] = value
    if len(fields) != len(lines) or b"".join(fields).translate(None, _NAME):
        return None
    return fields
