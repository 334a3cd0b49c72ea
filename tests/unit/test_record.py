"""A buffered row says in PostgreSQL's binary format what the event was."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from buffer.contract import COLUMNS, USER_ID_MAX_CHARACTERS, VARIANT_MAX_CHARACTERS
from buffer.record import copy_payload, event_key, make_entry
from tests.support.rows import Row, microseconds, read_fields, read_row

SIGNATURE = b"PGCOPY\n\377\r\n\0"
ID = bytes(range(16))
NOW = datetime(2026, 11, 23, 10, 0, 0, 123_457, tzinfo=UTC)

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=128)
times = st.integers(0, (LATEST - EARLIEST) // timedelta(microseconds=1)).map(
    lambda us: EARLIEST + timedelta(microseconds=us)
)
rows = st.builds(
    Row,
    instance=st.integers(1, 2**63 - 1),
    seq=st.integers(1, 2**63 - 1),
    impression_id=st.binary(min_size=16, max_size=16),
    kind=st.integers(1, 7),
    user_id=text,
    campaign_id=st.integers(1, 2**31 - 1),
    variant=text,
    occurred_at=times,
    session=st.integers(-(2**31), 2**31 - 1),
    late=st.booleans(),
)


@given(rows)
@example(Row(1, 1, ID, 1, "ü" * USER_ID_MAX_CHARACTERS, 1, "x" * VARIANT_MAX_CHARACTERS, NOW))
@example(Row(1, 1, ID, 1, "", 1, "", datetime(2000, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)))
def test_a_row_comes_back_as_it_was_written(row: Row) -> None:
    entry = make_entry(
        row.instance,
        row.seq,
        impression_id=row.impression_id,
        kind=row.kind,
        user_id=row.user_id,
        campaign_id=row.campaign_id,
        variant=row.variant,
        occurred_at_us=microseconds(row.occurred_at),
        session=row.session,
        late=row.late,
    )

    assert read_row(entry.row) == row
    assert (entry.seq, entry.user_id, entry.campaign_id) == (row.seq, row.user_id, row.campaign_id)
    assert entry.occurred_at_us == microseconds(row.occurred_at)
    assert (entry.session, entry.late) == (row.session, row.late)


def test_a_payload_is_header_rows_and_trailer() -> None:
    rows = [
        make_entry(
            7, seq, impression_id=ID, kind=1, user_id="ani", campaign_id=3, variant="a", occurred_at_us=seq
        ).row
        for seq in (1, 2, 3)
    ]

    payload = bytes(copy_payload(rows))

    assert payload[: len(SIGNATURE)] == SIGNATURE
    rest = payload[len(SIGNATURE) :]
    assert rest[:8] == bytes(8), "no flags, no header extension"
    rest = rest[8:]
    for seq in (1, 2, 3):
        fields, rest = read_fields(rest)
        assert len(fields) == len(COLUMNS)
        assert int.from_bytes(fields[1], "big") == seq
    assert rest == b"\xff\xff", "the end is a field count of -1"


def test_the_key_tells_events_apart_by_impression_and_kind() -> None:
    other = bytes(15) + b"\1"
    assert len({event_key(which, kind) for which in (ID, other) for kind in (1, 2, 3, 4)}) == 8
