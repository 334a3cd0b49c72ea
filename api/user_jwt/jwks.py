"""A JSON Web Key Set (RFC 7517), as login services publish it: which of its keys verify users' JWTs.

Keys that are for something else (encryption, other algorithms) are left out, since a login service's set has
such. A key that is for us and can't be right spoils the whole set: without it users would be refused.
"""

import logging
import re
from typing import Any, Final

from jwt import PyJWK, PyJWTError

from api.user_jwt.keys import UserKey, algorithm_of
from api.user_jwt.material import public_key, secret_key
from api.user_jwt.strict import strict_object

log = logging.getLogger("tayang.auth")

JWKS_MAX_BYTES: Final = 256 * 1024
JWKS_MAX_KEYS: Final = 100
_KID_MAX_CHARACTERS: Final = 256
_NUMBERS: Final = frozenset(("k", "n", "e", "x", "y"))
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
#: (kty, crv) → the algorithm that such a key is for.
_ALGORITHMS: Final = {
    ("oct", None): "HS256",
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}


def parse_jwks(data: bytes) -> list[UserKey]:
    """The keys that verify, at least one. Raises ValueError: what is wrong with which key."""
    try:
        documents = strict_object(data).get("keys")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON Web Key Set: {error}"[:200]) from error
    if not isinstance(documents, list):
        raise ValueError('is no JSON Web Key Set: it must be {"keys":[…]}')  # noqa: TRY004  (as all that is wrong with it)
    if len(documents) > JWKS_MAX_KEYS:
        raise ValueError(f"has {len(documents)} keys: remove old ones, {JWKS_MAX_KEYS} are allowed")
    keys = [key for place, document in enumerate(documents) if (key := _checked(place, document)) is not None]
    if not keys:
        raise ValueError("has no key for HS256, RS256, ES256 (P-256) or EdDSA (Ed25519) signatures")
    return keys


def _checked(place: int, document: Any) -> UserKey | None:
    try:
        return _key(place, document)
    except (ValueError, TypeError, KeyError, PyJWTError) as error:
        raise ValueError(f"keys[{place}]: {error}") from error


def _key(place: int, jwk: Any) -> UserKey | None:
    if not isinstance(jwk, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004  (as all that is wrong with it)
    kty, crv = jwk.get("kty"), jwk.get("crv")
    algorithm = _ALGORITHMS.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str | None) else None
    if (
        algorithm is None
        or algorithm_of(jwk.get("alg", algorithm)) != algorithm
        or not _is_for_signatures(jwk)
    ):
        log.info("keys[%d] of the users' key set is not for HS256, RS256, ES256 or EdDSA: left out", place)
        return None
    if kty != "oct" and "d" in jwk:
        raise ValueError("is a private key: it belongs to the login service alone; give the public one")
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _KID_MAX_CHARACTERS):
        raise ValueError(f"kid must be text of 1 to {_KID_MAX_CHARACTERS} characters")
    for name in _NUMBERS & jwk.keys():
        # Decoders skip what is not of the alphabet, and so make another key of it.
        if not (isinstance(jwk[name], str) and _BASE64URL.fullmatch(jwk[name])):
            raise ValueError(f"{name} is no base64url, which has - and _ where base64 has + and /")
    material = PyJWK(jwk, algorithm).key
    return secret_key(material, kid) if kty == "oct" else public_key(material, kid)


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops")
    return jwk.get("use", "sig") == "sig" and (not isinstance(operations, list) or "verify" in operations)
