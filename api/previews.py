"""The preview token: shows one campaign on a real phone, whatever its status and rules, for a while.

Layout before base64url (no padding), big endian:

    version u8 | key id u8 | campaign id u32 | expiry u32, seconds | user hash 8 | variant | MAC 16

The user hash is zero in a token that any user may use. An empty variant: the user's own. Signed as popup
tokens are and by the same secrets, but for another purpose (`person`), so that neither stands for the other.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from api.tokens import keyed_macs

VERSION: Final = 1
MAX_CHARACTERS: Final = 88  # with the longest variant key

_HEAD: Final = Struct("!BBII8s")
_MAC_BYTES: Final = 16
_PERSON: Final = b"tayang-preview-1"
_ANYBODY: Final = bytes(8)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


class PreviewError(ValueError):
    """The token shows nothing, or not to this user; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Preview:
    campaign_id: int
    variant: str | None  # None: the user's own
    expires_at: int  # seconds since the Unix epoch
    user_id: str | None = None  # None: any user's


class PreviewSigner:
    """Signs with the first secret and verifies with all."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._macs = keyed_macs(secrets, person=_PERSON)
        self._key_id = next(iter(self._macs))

    def sign(self, preview: Preview) -> str:
        user_hash = _ANYBODY if preview.user_id is None else _user_hash(preview.user_id)
        head = _HEAD.pack(VERSION, self._key_id, preview.campaign_id, preview.expires_at, user_hash)
        body = head + (preview.variant or "").encode()
        return urlsafe_b64encode(body + self._mac(self._key_id, body)).rstrip(b"=").decode("ascii")

    def verify(self, text: str, *, user_id: str, now_seconds: float) -> Preview:
        """What the token shows to this user now. Raises PreviewError."""
        raw = _decoded(text)
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if len(body) < _HEAD.size or body[0] != VERSION:
            raise PreviewError("is no preview token: copy it whole")
        if body[1] not in self._macs or not hmac.compare_digest(self._mac(body[1], body), mac):
            raise PreviewError("was not made by this service, or was changed: ask for a new one")
        _, _, campaign_id, expires_at, user_hash = _HEAD.unpack_from(body)
        if now_seconds >= expires_at:
            raise PreviewError("has expired: ask for a new one")
        bound = user_hash != _ANYBODY
        if bound and not hmac.compare_digest(user_hash, _user_hash(user_id)):
            raise PreviewError("was made for another user: ask for one for this user")
        variant = body[_HEAD.size :].decode() or None
        return Preview(campaign_id, variant, expires_at, user_id if bound else None)

    def _mac(self, key_id: int, body: bytes) -> bytes:
        mac = self._macs[key_id].copy()
        mac.update(body)
        return mac.digest()


def _decoded(text: str) -> bytes:
    # Looked at before, since the decoder passes over what is no base64url.
    if len(text) > MAX_CHARACTERS or _BASE64URL.fullmatch(text) is None:
        raise PreviewError("is no preview token: copy it whole")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise PreviewError("is no preview token: copy it whole") from error


def _user_hash(user_id: str) -> bytes:
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, person=b"tayang-preview-u").digest()
    return digest if digest != _ANYBODY else b"\xff" * 8
