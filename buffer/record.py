"""One buffered event, and its row in PostgreSQL's binary COPY format.

The row is packed once, when the event arrives: a retransmission sends the same bytes again.
Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # signature, no flags, no extension
COPY_TRAILER: Final = b"\xff\xff"

#: PostgreSQL counts microseconds from 2000-01-01, this code from 1970-01-01.
POSTGRES_EPOCH_US: Final = 946_684_800_000_000

# Field count, then (length, value) for instance, seq, impression_id, kind; last, user_id's length.
_HEAD = Struct("!h iq iq i16s ih i")
_CAMPAIGN = Struct("!ii i")
_TAIL = Struct("!iq ii i?")  # occurred_at, session, late
_FIELDS = 10


@dataclass(slots=True, eq=False)
class Entry:
    """An event between its arrival and its merge."""

    seq: int
    impression_id: bytes  # 16 bytes, a UUIDv7
    kind: int
    user_id: str
    campaign_id: int
    variant: str
    occurred_at_us: int  # microseconds since the Unix epoch
    session: int  # a hash of 32 bits, signed; 0 for none
    late: bool  # the campaign was over when the event arrived
    row: bytes  # as COPY BINARY wants it

    @property
    def key(self) -> bytes:
        return event_key(self.impression_id, self.kind)


def event_key(impression_id: bytes, kind: int) -> bytes:
    """The idempotency key of an event. The user is left out: the token binds id and user."""
    return impression_id + bytes((kind,))


def make_entry(
    instance: int,
    seq: int,
    *,
    impression_id: bytes,
    kind: int,
    user_id: str,
    campaign_id: int,
    variant: str,
    occurred_at_us: int,
    session: int = 0,
    late: bool = False,
) -> Entry:
    user = user_id.encode()
    variant_bytes = variant.encode()
    row = b"".join(
        (
            _HEAD.pack(_FIELDS, 8, instance, 8, seq, 16, impression_id, 2, kind, len(user)),
            user,
            _CAMPAIGN.pack(4, campaign_id, len(variant_bytes)),
            variant_bytes,
            _TAIL.pack(8, occurred_at_us - POSTGRES_EPOCH_US, 4, session, 1, late),
        )
    )
    return Entry(seq, impression_id, kind, user_id, campaign_id, variant, occurred_at_us, session, late, row)


def copy_payload(rows: list[bytes]) -> bytearray:
    """The body of one COPY. A bytearray: asyncpg would take bytes for a file's path."""
    payload = bytearray(COPY_HEADER)
    payload += b"".join(rows)
    payload += COPY_TRAILER
    return payload
