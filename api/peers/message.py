"""The messages between api processes: events in the text of a NOTIFY, whose payload PostgreSQL bounds.

Layout before base64, big endian:

    version u8 | instance i64 | then for each event:
    seq i64 | impression id 16 | kind u8 | campaign id i32 | occurred at i64, microseconds since 1970 |
    session i32, 0 for none | user id's length u8 | user id, UTF-8

A message without events says that its sender is there. Processes of different versions don't hear each other:
until the last one is replaced, caps across them lag by the merge.
"""

import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from buffer.record import event_key

VERSION: Final = 2
#: A NOTIFY takes up to 7,999 bytes of text; base64 makes 4 of 3.
MAX_BYTES: Final = 7_999 // 4 * 3

_HEAD: Final = Struct("!Bq")
_EVENT: Final = Struct("!q16sBiqiB")


class MessageError(ValueError):
    """The payload is none of ours, or of a version that is not known here."""


class PeerEvent(NamedTuple):
    """An event that another process has accepted. `instance` and `seq` say when it is merged."""

    instance: int
    seq: int
    impression_id: bytes  # 16 bytes
    kind: int
    campaign_id: int
    occurred_at_us: int
    session: int
    user_id: str

    @property
    def key(self) -> bytes:
        return event_key(self.impression_id, self.kind)


def pack(instance: int, events: Iterable[PeerEvent]) -> list[str]:
    """The payloads that carry them, in order; one without events if there are none."""
    head = _HEAD.pack(VERSION, instance)
    message = bytearray(head)
    payloads = []
    for _, seq, impression_id, kind, campaign_id, occurred_at_us, session, user_id in events:
        user = user_id.encode()
        if len(message) + _EVENT.size + len(user) > MAX_BYTES:
            payloads.append(b64encode(message).decode())
            message = bytearray(head)
        message += _EVENT.pack(seq, impression_id, kind, campaign_id, occurred_at_us, session, len(user))
        message += user
    payloads.append(b64encode(message).decode())
    return payloads


def unpack(payload: str) -> tuple[int, list[PeerEvent]]:
    """The sender's instance and its events. Raises MessageError."""
    try:
        message = b64decode(payload, validate=True)
        version, instance = _HEAD.unpack_from(message)
        if version != VERSION:
            raise MessageError(f"a message of version {version}")
        return instance, list(_events(message, instance))
    except (Base64Error, struct.error, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from error


def _events(message: bytes, instance: int) -> Iterator[PeerEvent]:
    at = _HEAD.size
    while at < len(message):
        seq, impression_id, kind, campaign_id, occurred_at_us, session, length = _EVENT.unpack_from(
            message, at
        )
        at += _EVENT.size
        user = message[at : at + length]
        if len(user) < length:
            raise MessageError("a message ends within a user id")
        at += length
        yield PeerEvent(
            instance, seq, impression_id, kind, campaign_id, occurred_at_us, session, user.decode()
        )
