"""What a key is made of: checked once, when it is loaded, so that no request finds it wanting."""

from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from api.user_jwt.keys import UserKey

MIN_SECRET_BYTES: Final = 32  # RFC 7518, 3.2: as long as the hash
MIN_RSA_BITS: Final = 2048  # RFC 7518, 3.3
_KEY_FILE: Final = "TAYANG_USER_JWT_PUBLIC_KEY_FILE"


def secret_key(secret: bytes, kid: str | None = None) -> UserKey:
    """For HS256. Raises ValueError."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"needs at least {MIN_SECRET_BYTES} bytes")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.InvalidKeyError as error:
        raise ValueError("looks like a key pair's key, which is no secret: make up a random one") from error
    return UserKey(kid, "HS256", secret, secret)


def public_key(key: Any, kid: str | None = None) -> UserKey:
    """With the one algorithm that fits the key. Raises ValueError."""
    algorithm = _algorithm(key)
    if algorithm is None:
        raise ValueError("must be an RSA, P-256 or Ed25519 key")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"has {key.key_size} bits: an RSA key needs at least {MIN_RSA_BITS}")
    identity = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return UserKey(kid, algorithm, key, identity)


def pem_key(file: Path) -> UserKey:
    """Raises ValueError naming the setting and the file."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{_KEY_FILE}: cannot read {file}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{_KEY_FILE}: {file} is no PEM public key") from error
    try:
        return public_key(key)
    except ValueError as error:
        raise ValueError(f"{_KEY_FILE}: {file} {error}") from error


def _algorithm(key: Any) -> str | None:
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    return None
