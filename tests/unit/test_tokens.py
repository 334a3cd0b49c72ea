"""Popup tokens: what was signed comes back, and nothing else is accepted."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import count
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.tokens import (
    MAX_CHARACTERS,
    MAX_USER_ID_BYTES,
    PopupToken,
    TokenError,
    TokenForgedError,
    TokenMalformedError,
    TokenSigner,
    impression_id_of,
    session_hash,
)
from api.users import user_id_problem
from buffer.contract import USER_ID_MAX_CHARACTERS, VARIANT_MAX_CHARACTERS

OLD, NEW, STRANGE = "the-older-secret-of-ours", "the-newer-secret-of-ours", "a-secret-of-somebody-else"
NOW_MS = 1_795_000_000_123
SHOW_BY = 1_795_000_600
SIGNER = TokenSigner([NEW])


def signed(
    signer: TokenSigner = SIGNER, user_id: str = "ani", variant: str = "a", campaign_id: int = 7
) -> str:
    token = signer.sign(user_id.encode(), campaign_id, variant.encode(), now_ms=NOW_MS, show_by=SHOW_BY)
    return token.decode("ascii")


def raw(token: str) -> bytes:
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


user_ids = st.text(max_size=USER_ID_MAX_CHARACTERS).filter(lambda user_id: user_id_problem(user_id) is None)


@given(
    user_id=user_ids,
    variant=st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
    campaign_id=st.integers(1, 2**31 - 1),
    now_ms=st.integers(0, 2**48 - 1),
    show_by=st.integers(0, 2**32 - 1),
    unit=st.none() | st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 2**24 - 1)),
    session=st.integers(-(2**31), 2**31 - 1),
    test=st.booleans(),
    ghost=st.booleans(),
)
def test_what_was_signed_comes_back(
    *,
    user_id: str,
    variant: str,
    campaign_id: int,
    now_ms: int,
    show_by: int,
    unit: tuple[int, int] | None,
    session: int,
    test: bool,
    ghost: bool,
) -> None:
    token = SIGNER.sign(
        user_id.encode(),
        campaign_id,
        variant.encode(),
        now_ms=now_ms,
        show_by=show_by,
        unit=unit,
        session=session,
        test=test,
        ghost=ghost,
    )
    verified = SIGNER.verify(token.decode("ascii"))
    assert verified == PopupToken(
        impression_id_of(token),
        user_id,
        campaign_id,
        variant,
        show_by,
        unit is not None,
        session,
        test,
        ghost,
    )
    assert verified.served_ms == now_ms
    assert unit is None or verified.lease_id == unit[0]
    assert len(token) <= MAX_CHARACTERS


def test_the_longest_ids_fit() -> None:
    four_bytes_each = "\U0001f600" * (MAX_USER_ID_BYTES // 4)
    for user_id in ("x" * USER_ID_MAX_CHARACTERS, four_bytes_each):
        assert user_id_problem(user_id) is None
        token = SIGNER.sign(
            user_id.encode(),
            2**31 - 1,
            b"v" * VARIANT_MAX_CHARACTERS,
            now_ms=NOW_MS,
            show_by=SHOW_BY,
            session=-1,
        ).decode()
        assert len(token) <= 320
        assert SIGNER.verify(token).user_id == user_id


def test_a_token_of_the_version_before_is_read_as_before() -> None:
    """Written down then, byte by byte: phones hold them while the service is replaced."""
    body = bytes((1, raw(signed())[1])) + NOW_MS.to_bytes(6, "big") + bytes.fromhex("7000800000000000002a")
    body += (7).to_bytes(4, "big") + SHOW_BY.to_bytes(4, "big") + b"\x04blueani"
    key = hashlib.blake2b(NEW.encode(), digest_size=32, person=b"tayang-key").digest()
    mac = hashlib.blake2b(body, key=key, digest_size=16, person=b"tayang-popup-v1\x00").digest()

    assert SIGNER.verify(text(body + mac)) == PopupToken(body[2:18], "ani", 7, "blue", SHOW_BY)


def test_a_session_is_hashed_to_32_bits_and_never_to_none() -> None:
    assert session_hash("a") == session_hash("a") != session_hash("b")
    hashes = [session_hash(f"session {n}") for n in range(10_000)]
    assert all(-(2**31) <= each < 2**31 and each for each in hashes)
    assert {each > 0 for each in hashes} == {True, False}


def test_every_impression_id_is_a_new_uuid_of_version_7() -> None:
    ids = [UUID(bytes=SIGNER.verify(signed()).impression_id) for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    assert {each.int >> 80 for each in ids} == {NOW_MS}
    random_bits = [(each.int & (0xFFF << 64 | 2**62 - 1)) for each in ids]
    ones, zeros = 0, 0xFFF << 64 | 2**62 - 1
    for bits in random_bits:
        ones |= bits
        zeros &= bits
    assert (ones, zeros) == (0xFFF << 64 | 2**62 - 1, 0), "all 74 random bits vary"


def test_a_reserved_popup_carries_its_unit_in_a_valid_id() -> None:
    leases = (1, 2**31 - 1)
    tokens = [
        SIGNER.verify(
            SIGNER.sign(b"ani", 7, b"a", now_ms=NOW_MS, show_by=SHOW_BY, unit=(lease, number)).decode()
        )
        for lease in leases
        for number in (0, 1, 999_999)
    ]
    assert {token.lease_id for token in tokens} == set(leases)
    assert all(token.reserved and token.served_ms == NOW_MS for token in tokens)
    ids = [UUID(bytes=token.impression_id) for token in tokens]
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    assert len({each.bytes[9:] for each in ids}) == len(ids), "unique without the random bits"
    assert not SIGNER.verify(signed()).reserved


def test_unit_session_test_and_ghost_are_signed() -> None:
    token = SIGNER.sign(b"ani", 7, b"a", now_ms=NOW_MS, show_by=SHOW_BY, unit=(1, 0)).decode()
    flagged = SIGNER.sign(b"ani", 7, b"a", now_ms=NOW_MS, show_by=SHOW_BY, session=7, test=True).decode()
    others = ((token, b"\x01"), (signed(), b"\x02"), (signed(), b"\x21"), (signed(), b"\x41"))
    for original, version in (*others, (flagged, b"\x01"), (flagged, b"\x11")):
        with pytest.raises(TokenForgedError):
            SIGNER.verify(text(version + raw(original)[1:]))


def test_later_ids_sort_behind_earlier_ones() -> None:
    tokens = [SIGNER.sign(b"ani", 1, b"a", now_ms=NOW_MS + n, show_by=0).decode() for n in range(600)]
    ids = [SIGNER.verify(token).impression_id for token in tokens]
    assert ids == sorted(ids)


def test_each_flipped_byte_is_noticed() -> None:
    data = raw(signed(user_id="ani", variant="blue"))
    for index in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            forged = bytearray(data)
            forged[index] ^= mask
            with pytest.raises(TokenError):
                SIGNER.verify(text(bytes(forged)))
    assert SIGNER.verify(text(data))


def test_what_was_signed_cannot_be_cut_grown_or_moved_between_fields() -> None:
    data = raw(signed(user_id="ani", variant="blue"))
    mac = data[-16:]
    for forged in (data[:-1], data[1:], data + b"\0", data[:-17] + mac, data[:-16] + b"x" + mac):
        with pytest.raises(TokenError):
            SIGNER.verify(text(forged))
    moved = bytearray(data)
    moved[26] -= 1  # the variant's length: "blu", and a user "eani"
    with pytest.raises(TokenForgedError):
        SIGNER.verify(text(bytes(moved)))


def test_a_foreign_key_is_refused() -> None:
    with pytest.raises(TokenForgedError):
        SIGNER.verify(signed(TokenSigner([STRANGE])))
    # Also under our key's id, which anybody can read off a token.
    forged = bytearray(raw(signed(TokenSigner([STRANGE]))))
    forged[1] = raw(signed())[1]
    with pytest.raises(TokenForgedError):
        SIGNER.verify(text(bytes(forged)))


def test_rotation_accepts_the_old_signs_with_the_new_and_ends_with_its_removal() -> None:
    before, during = TokenSigner([OLD]), TokenSigner([NEW, OLD])
    assert during.verify(signed(before)).user_id == "ani"
    assert SIGNER.verify(signed(during)).user_id == "ani"
    with pytest.raises(TokenForgedError):
        before.verify(signed(during))
    with pytest.raises(TokenForgedError):
        SIGNER.verify(signed(before))
    assert TokenSigner([OLD, NEW]).verify(signed(during)).user_id == "ani", "in any order"


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ([], "TAYANG_TOKEN_SECRETS is empty"),
        (["short"], "at least 16 bytes"),
        ([NEW, "short"], "at least 16 bytes"),
        ([NEW, OLD, NEW], "share a key id"),
    ],
)
def test_bad_secrets_are_refused_at_the_start(secrets: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenSigner(secrets)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "=",
        "a",
        "AAAA",
        "\0",
        "é",
        "☃" * 10,
        "\ud800",
        "not a token at all",
        "A" * 43,
        "A" * MAX_CHARACTERS,
        text(b"\x03" + raw(signed())[1:]),
        text(b"\x10" + raw(signed())[1:]),
        text(b"\x81" + raw(signed())[1:]),
        signed() + "A" * MAX_CHARACTERS,
    ],
    ids=count(),  # no two processes sign the same
)
def test_malformed_tokens(token: str) -> None:
    with pytest.raises(TokenMalformedError):
        SIGNER.verify(token)


@given(st.text() | st.text("ABCwxyz0189-_=", max_size=MAX_CHARACTERS + 2))
@example("AQ" + "A" * 70)
def test_random_text_raises_nothing_but_a_token_error(token: str) -> None:
    with pytest.raises(TokenError):
        SIGNER.verify(token)


@given(st.binary(max_size=240))
def test_random_bytes_under_our_key_id_are_forged_or_malformed(data: bytes) -> None:
    with pytest.raises(TokenError):
        SIGNER.verify(text(raw(signed())[:2] + data))


@given(st.data())
def test_a_token_with_one_other_character_says_the_same_or_is_refused(data: st.DataObject) -> None:
    """The last character has bits that base64 does not use; all others count."""
    token = signed()
    index = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters())
    try:
        verified = SIGNER.verify(token[:index] + other + token[index + 1 :])
    except TokenError:
        return
    assert verified == SIGNER.verify(token)
