"""The popup token: what was shown to whom, signed, so that an impression needs no database look-up.

Layout before base64url (no padding), big endian:

    version u8 | key id u8 | impression id 16 | campaign id u32 | show-by u32, seconds |
    variant length u8 | variant | user id, UTF-8 | MAC 16

In version 2 a unit of a hard budget is set aside for the popup: the last 7 bytes of the impression id
are not random, but the unit's number (u24) and its lease (u32). So no two popups of a lease share an id.

Flags in the version's high bits: 0x10, a session (i32) stands between the variant's length and the
variant; 0x20, a test: nothing of it counts; 0x40, a ghost: not to be shown, the user is held out.

The MAC is keyed BLAKE2b over all that stands before it (RFC 7693; a keyed hash needs no HMAC
construction). When the popup was served stands in the impression id, which is a UUIDv7.
"""

import hashlib
import hmac
import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

VERSION: Final = 1
VERSION_RESERVED: Final = 2
IN_SESSION: Final = 0x10
TEST: Final = 0x20
GHOST: Final = 0x40
MAX_CHARACTERS: Final = 320
#: What is left for the user id in 320 characters of base64url, next to the longest variant key and a session.
MAX_USER_ID_BYTES: Final = 160
MIN_SECRET_BYTES: Final = 16

_HEAD = Struct("!BB16sIIB")
_SESSION = Struct("!i")
_VERSION_BITS: Final = 0x0F
_KNOWN_VERSIONS: Final = frozenset(
    version | flags
    for version in (VERSION, VERSION_RESERVED)
    for flags in range(0, (IN_SESSION | TEST | GHOST) + 1, IN_SESSION)
)
#: So many characters of a token are its version, its key and its impression id.
_ID_CHARACTERS: Final = 24
_MAC_BYTES: Final = 16
_PERSON: Final = b"tayang-popup-v1\x00"
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_RANDOM_POOL_IDS: Final = 512
_TAIL_BYTES: Final = 10
_RESERVED_BYTES: Final = 7
_VERSION_7: Final = bytes(0x70 | byte & 0x0F for byte in range(256))
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))


class TokenError(ValueError):
    """The token can't be accepted."""


class TokenMalformedError(TokenError):
    """It does not have the form of a token."""


class TokenForgedError(TokenError):
    """No key of ours made its signature."""


class PopupToken(NamedTuple):
    impression_id: bytes  # 16 bytes, a UUIDv7
    user_id: str
    campaign_id: int
    variant: str
    show_by: int  # seconds since the Unix epoch
    reserved: bool = False
    session: int = 0  # 0: the request named none
    test: bool = False
    ghost: bool = False

    @property
    def served_ms(self) -> int:
        """When the popup was served, in milliseconds since the Unix epoch."""
        return served_ms(self.impression_id)

    @property
    def lease_id(self) -> int:
        """Of the unit that is set aside for a reserved popup."""
        return int.from_bytes(self.impression_id[12:], "big")


class TokenSigner:
    """Signs with the first secret and verifies with all: add a new one in front to rotate.

    A key id is a hash of its secret, so the order of the others doesn't matter.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._macs = keyed_macs(secrets, person=_PERSON)
        self._key_id = next(iter(self._macs))
        self._mac = self._macs[self._key_id]
        self._random = b""
        self._random_at = 0

    def sign(
        self,
        user: bytes,
        campaign_id: int,
        variant: bytes,
        *,
        now_ms: int,
        show_by: int,
        unit: tuple[int, int] | None = None,
        session: int = 0,
        test: bool = False,
        ghost: bool = False,
    ) -> bytes:
        """The token of a new impression. `user` and `variant` are UTF-8.

        `unit` is what was set aside for it, if anything: the lease's id and the number within. `session` is a
        hash (`session_hash`), or 0.
        """
        impression_id, version = self._new_id(now_ms), VERSION
        if unit is not None:
            impression_id, version = _with_unit(impression_id, unit), VERSION_RESERVED
        named = b""
        if session:
            version |= IN_SESSION
            named = _SESSION.pack(session)
        if test:
            version |= TEST
        if ghost:
            version |= GHOST
        head = _HEAD.pack(version, self._key_id, impression_id, campaign_id, show_by, len(variant))
        body = head + named + variant + user
        mac = self._mac.copy()
        mac.update(body)
        return b2a_base64(body + mac.digest(), newline=False).translate(_URL_SAFE, b"=")

    def verify(self, token: str) -> PopupToken:
        """Raises TokenMalformedError or TokenForgedError. Whether it is too old is the caller's question."""
        if len(token) > MAX_CHARACTERS:
            raise TokenMalformedError(f"a token has at most {MAX_CHARACTERS} characters")
        try:
            raw = _decoded(token.encode("ascii"))
        except (Base64Error, ValueError) as error:
            raise TokenMalformedError("a token is base64url") from error
        body = raw[:-_MAC_BYTES]
        if len(body) <= _HEAD.size or body[0] not in _KNOWN_VERSIONS:
            raise TokenMalformedError("a token is too short, or of a version that is not known here")
        known = self._macs.get(body[1])
        if known is None:
            raise TokenForgedError("the key that signed the token is not known here")
        mac = known.copy()
        mac.update(body)
        if not hmac.compare_digest(mac.digest(), raw[-_MAC_BYTES:]):
            raise TokenForgedError("the signature does not match")
        version, _, impression_id, campaign_id, show_by, variant_bytes = _HEAD.unpack_from(body)
        session, variant_at = 0, _HEAD.size
        if version & IN_SESSION:
            (session,) = _SESSION.unpack_from(body, variant_at)
            variant_at += _SESSION.size
        user_at = variant_at + variant_bytes
        return PopupToken(
            impression_id,
            body[user_at:].decode(),
            campaign_id,
            body[variant_at:user_at].decode(),
            show_by,
            version & _VERSION_BITS == VERSION_RESERVED,
            session,
            bool(version & TEST),
            bool(version & GHOST),
        )

    def _new_id(self, now_ms: int) -> bytes:
        """A UUIDv7 (RFC 9562, 5.7): 48 bits of time, 74 random ones."""
        at = self._random_at
        if at == len(self._random):
            self._random = _random_tails()
            at = 0
        self._random_at = at + _TAIL_BYTES
        return now_ms.to_bytes(6, "big") + self._random[at : at + _TAIL_BYTES]


def _decoded(text: bytes) -> bytes:
    """Base64url without padding, as RFC 4648, 5; raises Base64Error."""
    return a2b_base64(text.translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4))


def _with_unit(impression_id: bytes, unit: tuple[int, int]) -> bytes:
    lease_id, number = unit
    return impression_id[:-_RESERVED_BYTES] + number.to_bytes(3, "big") + lease_id.to_bytes(4, "big")


def served_ms(impression_id: bytes) -> int:
    """When its popup was served, in milliseconds since the Unix epoch: it is a UUIDv7."""
    return int.from_bytes(impression_id[:6], "big")


def impression_id_of(token: bytes) -> bytes:
    """Of a token that was signed here just now: nothing is verified."""
    return _decoded(token[:_ID_CHARACTERS])[2:]


def session_hash(text: str) -> int:
    """32 bits, signed, of a session's name; never 0, which stands for none."""
    (hashed,) = _SESSION.unpack(hashlib.blake2b(text.encode(), digest_size=_SESSION.size).digest())
    return hashed or 1


def keyed_macs(secrets: Sequence[str], *, person: bytes) -> dict[int, hashlib.blake2b]:
    """By key id, the signing key first; `person` keeps what is signed for one purpose from another.

    Raises ValueError.
    """
    if not secrets:
        raise ValueError("TAYANG_TOKEN_SECRETS is empty: give at least one secret")
    macs = {}
    for secret in secrets:
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"TAYANG_TOKEN_SECRETS: each needs at least {MIN_SECRET_BYTES} bytes")
        key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"tayang-key").digest()
        macs[key[0]] = hashlib.blake2b(key=key, digest_size=_MAC_BYTES, person=person)
    if len(macs) < len(secrets):
        raise ValueError("TAYANG_TOKEN_SECRETS: two secrets share a key id; replace one of them")
    return macs


def _random_tails() -> bytes:
    """The last 10 bytes of 512 ids, by one system call: random but for version 7 and variant 0b10."""
    tails = bytearray(os.urandom(_TAIL_BYTES * _RANDOM_POOL_IDS))
    tails[0::_TAIL_BYTES] = tails[0::_TAIL_BYTES].translate(_VERSION_7)
    tails[2::_TAIL_BYTES] = tails[2::_TAIL_BYTES].translate(_VARIANT)
    return bytes(tails)
