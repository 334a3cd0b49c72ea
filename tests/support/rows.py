"""Reading the binary COPY format again, from its description in PostgreSQL's manual, not from the writer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    instance: int
    seq: int
    impression_id: bytes
    kind: int
    user_id: str
    campaign_id: int
    variant: str
    occurred_at: datetime
    session: int = 0
    late: bool = False


def read_row(data: bytes) -> Row:
    """One tuple; nothing may be left over."""
    fields, rest = read_fields(data)
    assert rest == b""
    instance, seq, impression_id, kind, user_id, campaign_id, variant, occurred_at, session, late = fields
    return Row(
        _integer(instance, 8),
        _integer(seq, 8),
        impression_id,
        _integer(kind, 2),
        user_id.decode(),
        _integer(campaign_id, 4),
        variant.decode(),
        _POSTGRES_EPOCH + timedelta(microseconds=_integer(occurred_at, 8)),
        _integer(session, 4),
        bool(_integer(late, 1)),
    )


def read_fields(data: bytes) -> tuple[list[bytes], bytes]:
    """A 16-bit field count, then for each a 32-bit length and the value; and what follows."""
    count, data = _integer(data[:2], 2), data[2:]
    fields = []
    for _ in range(count):
        length, data = _integer(data[:4], 4), data[4:]
        assert 0 <= length <= len(data)
        fields.append(data[:length])
        data = data[length:]
    return fields, data


def microseconds(moment: datetime) -> int:
    """Since the Unix epoch."""
    return (moment - _UNIX_EPOCH) // timedelta(microseconds=1)


def _integer(data: bytes, size: int) -> int:
    assert len(data) == size
    return int.from_bytes(data, "big", signed=True)
