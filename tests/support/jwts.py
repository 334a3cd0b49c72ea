"""Users' JWTs made by hand, right and wrong, and authenticators to show them to."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.auth import UserAuthenticator, authenticator
from api.config import ApiConfig
from api.errors import ProblemError

SECRET = "the-user-secret-of-the-tests-is-long-enough"
OTHER_SECRET = "another secret that is long enough for it"
ALGORITHMS = ("RS256", "ES256", "EdDSA")
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public_pem(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def public_jwk(algorithm: str, **members: Any) -> dict[str, Any]:
    """Of PRIVATE; for HS256 the secret."""
    if algorithm == "HS256":
        return {"kty": "oct", "k": b64(SECRET.encode()), **members}
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        PRIVATE[algorithm].public_key(), as_dict=True
    )
    return {**made, **members}


def write_jwks(file: Path, keys: Sequence[Any]) -> Path:
    """As a rotation should: whole or not at all."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(json.dumps({"keys": keys}))
    return fresh.replace(file)


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "ani", "exp": int(time.time()) + 3600, **more}


def signed(algorithm: str, *, kid: str | None = None, **more: Any) -> str:
    """By PyJWT with PRIVATE, or the secret."""
    key = SECRET if algorithm == "HS256" else PRIVATE[algorithm]
    return jwt.encode(claims(**more), key, algorithm, headers={"kid": kid} if kid is not None else None)


def hs256(document: dict[str, Any], secret: bytes = SECRET.encode(), **header: Any) -> str:
    """By hand, since libraries refuse to make some of these."""
    return by_hand({"alg": "HS256", "typ": "JWT", **header}, document, secret)


def by_hand(header: dict[str, Any], document: dict[str, Any], secret: bytes) -> str:
    return raw(json.dumps(header).encode(), json.dumps(document).encode(), secret)


def raw(header: bytes, payload: bytes, secret: bytes = SECRET.encode()) -> str:
    """These very bytes, signed with HMAC-SHA256."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    signature = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{b64(signature)}"


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def users(**config: Any) -> UserAuthenticator:
    """With the secret, unless told otherwise."""
    values: dict[str, Any] = {"user_jwt_secret": SECRET, "verified_max_tokens": 10, **config}
    return authenticator(ApiConfig(primary_dsn="", replica_dsn="", admin_key="", token_secrets=(), **values))


def accepted(who: UserAuthenticator, token: str) -> str:
    """The user."""
    return who.user_id(f"Bearer {token}", time.time())


def refused(who: UserAuthenticator, token: str | None) -> str:
    """The detail of the refusal."""
    with pytest.raises(ProblemError) as caught:
        who.user_id(None if token is None else f"Bearer {token}", time.time())
    assert caught.value.code.status == 401
    return caught.value.detail
