"""The messages between api processes: impressions in the text of a NOTIFY, whose payload PostgreSQL bounds.

Layout before base64, big endian:

    version u8 | instance i64 | then for each impression:
    seq i64 | impression id 16 | campaign id i32 | occurred at i64, microseconds since 1970 |
    user id's length u8 | user id, UTF-8

A message without impressions says that its sender is there.
"""

import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

VERSION: Final = 1
#: A NOTIFY takes up to 7,999 bytes of text; base64 makes 4 of 3.
MAX_BYTES: Final = 7_999 // 4 * 3

_HEAD: Final = Struct("!Bq")
_IMPRESSION: Final = Struct("!q16siqB")


class MessageError(ValueError):
    """The payload is none of ours, or of a version that is not known here."""


class PeerImpression(NamedTuple):
    """An impression that another process has accepted. `instance` and `seq` say when it is merged."""

    instance: int
    seq: int
    impression_id: bytes  # 16 bytes
    campaign_id: int
    occurred_at_us: int
    user_id: str


def pack(instance: int, impressions: Iterable[PeerImpression]) -> list[str]:
    """The payloads that carry them, in order; one without impressions if there are none."""
    head = _HEAD.pack(VERSION, instance)
    message = bytearray(head)
    payloads = []
    for _, seq, impression_id, campaign_id, occurred_at_us, user_id in impressions:
        user = user_id.encode()
        if len(message) + _IMPRESSION.size + len(user) > MAX_BYTES:
            payloads.append(b64encode(message).decode())
            message = bytearray(head)
        message += _IMPRESSION.pack(seq, impression_id, campaign_id, occurred_at_us, len(user))
        message += user
    payloads.append(b64encode(message).decode())
    return payloads


def unpack(payload: str) -> tuple[int, list[PeerImpression]]:
    """The sender's instance and its impressions. Raises MessageError."""
    try:
        message = b64decode(payload, validate=True)
        version, instance = _HEAD.unpack_from(message)
        if version != VERSION:
            raise MessageError(f"a message of version {version}")
        return instance, list(_impressions(message, instance))
    except (Base64Error, struct.error, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from error


def _impressions(message: bytes, instance: int) -> Iterator[PeerImpression]:
    at = _HEAD.size
    while at < len(message):
        seq, impression_id, campaign_id, occurred_at_us, length = _IMPRESSION.unpack_from(message, at)
        at += _IMPRESSION.size
        user = message[at : at + length]
        if len(user) < length:
            raise MessageError("a message ends within a user id")
        at += length
        yield PeerImpression(instance, seq, impression_id, campaign_id, occurred_at_us, user.decode())
