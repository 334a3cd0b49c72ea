"""What a user's JWT must be to be believed. The cryptography is PyJWT's."""

import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import jwt
from jwt.algorithms import OKPAlgorithm
from jwt.exceptions import InvalidSubjectError

from api.user_jwt.keys import KeyRing, UnknownKeyError, UserKey
from api.user_jwt.strict import strict_object
from api.users import user_id_problem

#: Three parts in base64url. Whatever else is sent is refused before anything of it is decoded.
#: Possessive: what has no dot would be tried from the end, character by character.
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]++={0,2}+)(?:\.[A-Za-z0-9_-]++={0,2}+){2}")
_TIMES: Final = ("exp", "nbf", "iat")


class Reason(StrEnum):
    """Why a token is refused, as metrics have it."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    AUDIENCE = "audience"
    ISSUER = "issuer"
    CLAIMS = "claims"


class RefusedError(Exception):
    """The token is not believed; the message is for its sender."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _StrictJwt(jwt.PyJWT):
    """PyJWT, which would take the last one of two equal claims, and knows Ed25519 as EdDSA only."""

    def __init__(self) -> None:
        super().__init__()
        if "Ed25519" not in self._jws.get_algorithms():
            self._jws.register_algorithm("Ed25519", OKPAlgorithm())

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        try:
            return strict_object(decoded["payload"])
        except (ValueError, RecursionError) as error:
            raise jwt.DecodeError(f"the claims: {error}") from error


class TokenVerifier:
    """`audiences` and `issuers`: one of them must be the token's; empty: it is not looked at."""

    def __init__(
        self, ring: KeyRing, *, audiences: Sequence[str], issuers: Sequence[str], leeway_seconds: float
    ) -> None:
        self.ring = ring
        self.refused: Counter[str] = Counter({reason.value: 0 for reason in Reason})
        self._jwt = _StrictJwt()
        self._audiences = list(audiences) or None
        self._issuers = list(issuers) or None
        self._leeway_seconds = leeway_seconds

    def verify(self, token: str, now_seconds: float) -> tuple[str, int, UserKey]:
        """The user id, when it expires (seconds since the Unix epoch), and the key. Raises RefusedError."""
        try:
            verified = self._verify(token, now_seconds)
        except RefusedError as error:
            self.refused[error.reason] += 1
            raise
        verified[2].verified += 1
        return verified

    def _verify(self, token: str, now_seconds: float) -> tuple[str, int, UserKey]:
        key = self._key(token)
        try:
            claims = self._claims(token, key)
        except jwt.InvalidTokenError as error:
            raise _refusal(error) from error
        except (ValueError, OverflowError, RecursionError) as error:
            raise RefusedError(Reason.MALFORMED, _NOT_VALID) from error
        for name in _TIMES:
            if type(claims.get(name, 0)) not in (int, float):
                raise RefusedError(Reason.CLAIMS, f"The JWT's {name} is no number of seconds.")
        # The leeway is not for this one: a token refused here is renewed, one from the future is not.
        expires = int(claims["exp"])
        if now_seconds >= expires:
            raise RefusedError(Reason.EXPIRED, _EXPIRED)
        user_id = claims["sub"]
        problem = user_id_problem(user_id)
        if problem is not None:
            raise RefusedError(Reason.CLAIMS, f"The JWT's sub {problem}.")
        return user_id, expires, key

    def _key(self, token: str) -> UserKey:
        """Before anything else, so that most of what is forged costs little."""
        parts = _COMPACT.fullmatch(token)
        if parts is None:
            raise RefusedError(Reason.MALFORMED, _NOT_VALID)
        head = parts[1].rstrip("=")
        try:
            header = strict_object(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
            return self.ring.key_for(header)
        except (ValueError, RecursionError) as error:
            raise RefusedError(Reason.MALFORMED, _NOT_VALID) from error
        except UnknownKeyError as error:
            raise RefusedError(Reason.UNKNOWN_KEY, _UNKNOWN_KEY) from error

    def _claims(self, token: str, key: UserKey) -> dict[str, Any]:
        return self._jwt.decode(
            token,
            key.material,
            algorithms=key.names,
            audience=self._audiences,
            issuer=self._issuers,
            leeway=self._leeway_seconds,
            options={"require": ["exp", "sub"], "verify_aud": self._audiences is not None},
        )


_NOT_VALID: Final = "The JWT is not valid, or not signed with the key of this service."
_UNKNOWN_KEY: Final = "The JWT is not signed with a key that this service knows (kid, alg): fetch a new one."
_EXPIRED: Final = "The JWT has expired: fetch a new one."
_NOT_YET: Final = "The JWT is not valid yet (nbf, iat): is the clock of the service that issued it right?"


_REFUSALS: Final[dict[type[jwt.InvalidTokenError], tuple[Reason, str]]] = {
    jwt.ExpiredSignatureError: (Reason.EXPIRED, _EXPIRED),
    jwt.ImmatureSignatureError: (Reason.NOT_YET_VALID, _NOT_YET),
    jwt.InvalidAudienceError: (Reason.AUDIENCE, "The JWT is for another audience (aud) than this service."),
    jwt.InvalidIssuerError: (
        Reason.ISSUER,
        "The JWT is of an issuer (iss) that this service does not trust.",
    ),
    jwt.InvalidSignatureError: (Reason.SIGNATURE, _NOT_VALID),
    jwt.InvalidAlgorithmError: (Reason.UNKNOWN_KEY, _UNKNOWN_KEY),
    InvalidSubjectError: (Reason.CLAIMS, "The JWT's sub must be text."),
}


def _refusal(error: jwt.InvalidTokenError) -> RefusedError:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return RefusedError(Reason.CLAIMS, f"The JWT lacks the claim '{error.claim}'.")
    return RefusedError(*_REFUSALS.get(type(error), (Reason.MALFORMED, _NOT_VALID)))
