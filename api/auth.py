"""Who calls the mobile endpoints: the `sub` of a user JWT. The cryptography is PyJWT's."""

from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from api import errors
from api.errors import ProblemError
from api.users import user_id_problem

_BEARER: Final = "Bearer "
_REMEMBER_SECONDS: Final = 3600.0
_MAX_HEADER_CHARACTERS: Final = 8192
MIN_SECRET_BYTES: Final = 32  # RFC 7518, 3.2: as long as the hash

#: A user id, and until when it need not be verified again (seconds since the Unix epoch).
Verified = tuple[str, float]


class UserAuthenticator:
    """Verifies bearer tokens and remembers at most `max_tokens` of them, none past its expiry.

    Two generations in turn: when the young one is full it becomes the old one, whose tokens come
    back when they are used. So the tokens in use stay, and forgetting the others costs nothing.
    """

    def __init__(self, key: Any, algorithms: tuple[str, ...], *, max_tokens: int) -> None:
        self._key = key
        self._algorithms = list(algorithms)
        self._half = max(1, max_tokens // 2)
        self._young: dict[str, Verified] = {}
        self._old: dict[str, Verified] = {}

    def user_id(self, authorization: str | None, now_seconds: float) -> str:
        """The user of an Authorization header. Raises ProblemError (401)."""
        known = self._young.get(authorization or "")
        if known is not None and now_seconds < known[1]:
            return known[0]
        if authorization is None:
            raise _refused("Send the user's JWT as 'Authorization: Bearer …'.")
        known = self._old.get(authorization)
        if known is None or now_seconds >= known[1]:
            known = self._verify(authorization, now_seconds)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[authorization] = known
        return known[0]

    def _verify(self, authorization: str, now_seconds: float) -> Verified:
        if not authorization.startswith(_BEARER):
            raise _refused("Send the user's JWT as 'Authorization: Bearer …'.")
        if len(authorization) > _MAX_HEADER_CHARACTERS:
            raise _refused(f"The Authorization header is longer than {_MAX_HEADER_CHARACTERS} characters.")
        try:
            claims = jwt.decode(
                authorization[len(_BEARER) :],
                self._key,
                algorithms=self._algorithms,
                options={"require": ["exp", "sub"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise _refused("The JWT has expired: fetch a new one.") from error
        except jwt.MissingRequiredClaimError as error:
            raise _refused(f"The JWT lacks the claim '{error.claim}'.") from error
        except (jwt.InvalidTokenError, ValueError, OverflowError, RecursionError) as error:
            raise _refused("The JWT is not valid, or not signed with the key of this service.") from error
        user_id = claims["sub"]
        problem = user_id_problem(user_id)
        if problem is not None:
            raise _refused(f"The JWT's sub {problem}.")
        return user_id, min(int(claims["exp"]), now_seconds + _REMEMBER_SECONDS)


def authenticator(secret: str, public_key_file: Path | None, *, max_tokens: int) -> UserAuthenticator:
    """From the settings: a public key file wins over the shared secret. Raises ValueError."""
    if public_key_file is not None:
        key, algorithm = _public_key(public_key_file)
        return UserAuthenticator(key, (algorithm,), max_tokens=max_tokens)
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(
            f"TAYANG_USER_JWT_SECRET needs at least {MIN_SECRET_BYTES} bytes "
            "(or set TAYANG_USER_JWT_PUBLIC_KEY_FILE)"
        )
    return UserAuthenticator(secret, ("HS256",), max_tokens=max_tokens)


def _public_key(file: Path) -> tuple[Any, str]:
    """The key and the one algorithm that fits it: the token's header has no say in that."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise ValueError(f"TAYANG_USER_JWT_PUBLIC_KEY_FILE: cannot read {file}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"TAYANG_USER_JWT_PUBLIC_KEY_FILE: {file} is no PEM public key") from error
    if isinstance(key, rsa.RSAPublicKey):
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key, "EdDSA"
    raise ValueError(f"TAYANG_USER_JWT_PUBLIC_KEY_FILE: {file} must hold an RSA, P-256 or Ed25519 key")


def _refused(detail: str) -> ProblemError:
    return ProblemError(errors.UNAUTHORIZED, detail)
