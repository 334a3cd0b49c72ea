"""Preview tokens: what was signed comes back, to whom it was made for, while it lasts; and nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.previews import MAX_CHARACTERS, Preview, PreviewError, PreviewSigner
from api.tokens import TokenError, TokenSigner

OLD, NEW, STRANGE = "the-older-secret-of-ours", "the-newer-secret-of-ours", "a-secret-of-somebody-else"
SIGNER = PreviewSigner([NEW])
EXPIRY = 1_795_000_600
PREVIEW = Preview(7, "b", EXPIRY, "ani")


def verified(text: str, signer: PreviewSigner = SIGNER, user_id: str = "ani") -> Preview:
    return signer.verify(text, user_id=user_id, now_seconds=EXPIRY - 1)


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


@given(
    st.builds(
        Preview,
        st.integers(1, 2**31 - 1),
        st.none() | st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
        st.integers(1, 2**32 - 1),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128),
    )
)
def test_what_was_signed_comes_back(preview: Preview) -> None:
    text = SIGNER.sign(preview)
    user_id = preview.user_id or "whoever"
    assert SIGNER.verify(text, user_id=user_id, now_seconds=preview.expires_at - 0.001) == preview
    assert len(text) <= MAX_CHARACTERS


def test_it_lasts_until_its_expiry_and_not_beyond() -> None:
    with pytest.raises(PreviewError, match="expired"):
        SIGNER.verify(SIGNER.sign(PREVIEW), user_id="ani", now_seconds=EXPIRY)


def test_one_that_is_bound_to_a_user_is_refused_to_others() -> None:
    with pytest.raises(PreviewError, match="another user"):
        verified(SIGNER.sign(PREVIEW), user_id="budi")


def test_secrets_are_rotated_without_a_gap() -> None:
    before, both, after = PreviewSigner([OLD]), PreviewSigner([NEW, OLD]), PreviewSigner([NEW])
    assert verified(before.sign(PREVIEW), both) == PREVIEW
    assert verified(both.sign(PREVIEW), after) == PREVIEW
    with pytest.raises(PreviewError, match="not made by this service"):
        verified(before.sign(PREVIEW), after)


def test_a_stranger_with_the_same_key_id_can_not_sign() -> None:
    ours = PreviewSigner([NEW])
    forged = bytearray(raw(PreviewSigner([STRANGE]).sign(PREVIEW)))
    forged[1] = raw(ours.sign(PREVIEW))[1]
    with pytest.raises(PreviewError, match="not made by this service"):
        verified(text_of(bytes(forged)))


def test_no_bit_can_be_changed() -> None:
    good = raw(SIGNER.sign(PREVIEW))
    for bit in range(8 * len(good)):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PreviewError):
            verified(text_of(bytes(changed)))


def test_neither_kind_of_token_stands_for_the_other() -> None:
    popups = TokenSigner([NEW])
    popup = popups.sign(b"ani", 7, b"b", now_ms=EXPIRY * 1000, show_by=EXPIRY).decode()
    with pytest.raises(PreviewError):
        verified(popup)
    with pytest.raises(TokenError):
        popups.verify(SIGNER.sign(Preview(7, "a-rather-long-key-of-a-variant", EXPIRY)))
    # The same bytes, signed for the other purpose.
    body = raw(SIGNER.sign(PREVIEW))[:-16]
    mac = popups._macs[body[1]].copy()
    mac.update(body)
    with pytest.raises(PreviewError, match="not made by this service"):
        verified(text_of(body + mac.digest()))


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "é" * 40, "A" * 89, "A" * 40, " ", SIGNER.sign(PREVIEW) + "="]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(PreviewError, match="no preview token"):
        verified(text)


@given(st.text(max_size=100))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(PreviewError):
        verified(text)
