"""As much of PostgreSQL's protocol as a proxy needs to know where a client stands.

A message is a type byte and a length; only the first packets of a connection have no type byte.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import re
from dataclasses import dataclass
from struct import Struct
from typing import Final

_LENGTH: Final = Struct("!i")
#: The first packets: a request for TLS or GSS encryption, which the server refuses here, or the start itself.
_PROTOCOL_3: Final = 3
_PACKET_MAX_BYTES: Final = 64 * 2**20
_LABEL_CHARACTERS: Final = 44
_COMMENT: Final = re.compile(r"--[^\n]*")
_NUMBER: Final = re.compile(r"(?<=savepoint_)\w+|\d+")  # asyncpg's savepoints have hexadecimal ones


@dataclass(frozen=True)
class Message:
    """One message of a client; `kind` is its type byte, empty for the packets before there are types."""

    kind: str
    body: bytes
    raw: bytes


@dataclass(frozen=True)
class Point:
    """A statement of a connection, told from the same one elsewhere by the one before it."""

    before: str
    statement: str

    def __str__(self) -> str:
        return f"{self.statement!r} after {self.before!r}"


async def read_first(reader: asyncio.StreamReader) -> Message:
    """A packet of a connection's start. Raises IncompleteReadError at its end."""
    head = await reader.readexactly(4)
    body = await reader.readexactly(_size(head))
    return Message("", body, head + body)


async def read_message(reader: asyncio.StreamReader) -> Message:
    head = await reader.readexactly(5)
    body = await reader.readexactly(_size(head[1:]))
    return Message(chr(head[0]), body, head + body)


def application_name(first: Message) -> str | None:
    """None if more such packets follow."""
    (protocol,) = _LENGTH.unpack_from(first.body)
    if protocol >> 16 != _PROTOCOL_3:
        return None
    words = first.body[4:].decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=False)).get("application_name", "")


class Statements:
    """Which statement each Query or Execute runs."""

    def __init__(self) -> None:
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self._last = ""

    def follow(self, message: Message) -> Point | None:
        """The statement that this message runs, if it runs one."""
        if message.kind == "P":
            name, text = message.body.split(b"\0")[:2]
            self._prepared[name] = label(text.decode())
        elif message.kind == "B":
            portal, name = message.body.split(b"\0")[:2]
            self._portals[portal] = self._prepared.get(name, "?")
        elif message.kind == "E":
            return self._at(self._portals.get(message.body.split(b"\0")[0], "?"))
        elif message.kind == "Q":
            return self._at(label(message.body.rstrip(b"\0").decode()))
        return None

    def _at(self, statement: str) -> Point:
        point = Point(self._last, statement)
        self._last = statement
        return point


def label(text: str) -> str:
    """The beginning of a statement, the same for both buffer tables and for every savepoint."""
    return _NUMBER.sub("N", " ".join(_COMMENT.sub("", text).split()))[:_LABEL_CHARACTERS].rstrip("; ")


def _size(length: bytes) -> int:
    size = int(_LENGTH.unpack(length)[0]) - 4
    if not 0 <= size <= _PACKET_MAX_BYTES:
        raise ValueError(f"a message of {size} bytes: this is not PostgreSQL's protocol, or it is TLS")
    return size
