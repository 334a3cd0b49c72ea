"""Who calls the mobile endpoints: the `sub` of a user JWT."""

import asyncio
from typing import Final

from api import errors
from api.config import ApiConfig
from api.errors import ProblemError
from api.user_jwt.file import JwksFile
from api.user_jwt.keys import KeyRing, UserKey
from api.user_jwt.material import pem_key, secret_key
from api.user_jwt.verifier import RefusedError, TokenVerifier

_SCHEME: Final = "bearer "
#: A visit to the app, and the next one perhaps. What is forgotten only has to be verified again.
_REMEMBER_SECONDS: Final = 600.0
_MAX_HEADER_CHARACTERS: Final = 8192

#: A user id, until when it is believed (seconds since the Unix epoch), and the key that verified it.
Verified = tuple[str, float, UserKey]


class UserAuthenticator:
    """Verifies bearer tokens and remembers at most `max_tokens`, none past its expiry or its key's removal.

    Two generations in turn: when the young one is full it becomes the old one, whose tokens come
    back when they are used. So the tokens in use stay, and forgetting the others costs nothing.
    """

    def __init__(self, verifier: TokenVerifier, *, max_tokens: int, jwks: JwksFile | None = None) -> None:
        self.verifier = verifier
        self.jwks = jwks  # whose `run()` somebody has to start
        self._half = max(1, max_tokens // 2)
        self._young: dict[str, Verified] = {}
        self._old: dict[str, Verified] = {}

    def user_id(self, authorization: str | None, now_seconds: float) -> str:
        """The user of an Authorization header. Raises ProblemError (401)."""
        known = self._young.get(authorization or "")
        if known is not None and now_seconds < known[1] and known[2].in_use:
            return known[0]
        if authorization is None:
            raise ProblemError(errors.UNAUTHORIZED, _SEND_ONE)
        known = self._old.get(authorization)
        if known is None or now_seconds >= known[1] or not known[2].in_use:
            known = self._verify(authorization, now_seconds)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[authorization] = known
        return known[0]

    def forget(self, user_id: str | None) -> None:
        """Of one user, or all that is remembered."""
        if user_id is None:
            self._young, self._old = {}, {}
            return
        for remembered in (self._young, self._old):
            for text in [text for text, known in remembered.items() if known[0] == user_id]:
                del remembered[text]

    async def run(self) -> None:
        """Let go of what was not used for ten minutes, until cancelled."""
        while True:
            await asyncio.sleep(_REMEMBER_SECONDS / 2)
            self._old, self._young = self._young, {}

    def _verify(self, authorization: str, now_seconds: float) -> Verified:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise ProblemError(errors.UNAUTHORIZED, _SEND_ONE)
        if len(authorization) > _MAX_HEADER_CHARACTERS:
            raise _refused(f"The Authorization header is longer than {_MAX_HEADER_CHARACTERS} characters.")
        try:
            user_id, expires, key = self.verifier.verify(authorization[len(_SCHEME) :], now_seconds)
        except RefusedError as error:
            raise _refused(error.detail) from error
        return user_id, min(expires, now_seconds + _REMEMBER_SECONDS), key


def authenticator(config: ApiConfig) -> UserAuthenticator:
    """Of the key settings one counts: the JWKS file, else the public key, else the secret.

    Raises ValueError naming the setting.
    """
    jwks = _jwks_file(config)
    verifier = TokenVerifier(
        _single_key(config) if jwks is None else jwks.ring,
        audiences=config.user_jwt_audience,
        issuers=config.user_jwt_issuer,
        leeway_seconds=config.user_jwt_leeway_seconds,
    )
    return UserAuthenticator(verifier, max_tokens=config.verified_max_tokens, jwks=jwks)


def _jwks_file(config: ApiConfig) -> JwksFile | None:
    if config.user_jwt_jwks_file is None:
        return None
    return JwksFile(config.user_jwt_jwks_file, poll_seconds=config.user_jwt_jwks_poll_seconds)


def _single_key(config: ApiConfig) -> KeyRing:
    """Nothing says what the login service calls it, so it may be called anything."""
    if config.user_jwt_public_key_file is not None:
        return KeyRing([pem_key(config.user_jwt_public_key_file)], any_kid=True)
    try:
        return KeyRing([secret_key(config.user_jwt_secret.encode())], any_kid=True)
    except ValueError as error:
        raise ValueError(
            f"TAYANG_USER_JWT_SECRET {error} "
            "(or set TAYANG_USER_JWT_JWKS_FILE or TAYANG_USER_JWT_PUBLIC_KEY_FILE)"
        ) from error


_SEND_ONE: Final = "Send the user's JWT as 'Authorization: Bearer …'."


def _refused(detail: str) -> ProblemError:
    # RFC 6750, 3.1: only who has sent a token is told that it is the token.
    return ProblemError(
        errors.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )
