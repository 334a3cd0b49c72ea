"""Answers as bytes, for those that no aiohttp response is made of."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp.http import SERVER_SOFTWARE

_SERVER: Final = f"Server: {SERVER_SOFTWARE}\r\n".encode()


def head_of(status: int, fields: Mapping[str, str]) -> bytes:
    """The status line and the fields; not its end. Field values are our own: nothing is checked."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() + _SERVER + fields_of(fields)


def fields_of(fields: Mapping[str, str]) -> bytes:
    """More of them, for the end of a head."""
    return "".join(f"{name}: {text}\r\n" for name, text in fields.items()).encode()


def whole(head: bytes, body: bytes, *, closes: bool) -> bytes:
    """The answer. `head` is one of `head_of`; `closes` tells the client that it is the last one."""
    return b"%bDate: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        head,
        _date(int(time.time())),
        len(body),
        b"Connection: close\r\n" if closes else b"",
        body,
    )


@lru_cache(maxsize=2)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()
