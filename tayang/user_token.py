"""A user's JWT, as the app's own login service would issue it. For development and load tests."""

import time
from typing import Any

import jwt

from tayang.settings import Settings


def user_token(settings: Settings, user_id: str, *, valid_seconds: int = 86_400) -> str:
    """One that a service with these settings takes, if the secret is what it verifies with."""
    named = {"aud": settings.user_jwt_audience, "iss": settings.user_jwt_issuer}
    claims = {claim: values[0] for claim, values in named.items() if values}
    return mint(settings.user_jwt_secret, user_id, valid_seconds=valid_seconds, **claims)


def mint(secret: str, user_id: str, *, valid_seconds: int = 86_400, **claims: Any) -> str:
    """HS256, with `sub`, `iat`, `exp`, and what else is given."""
    now = int(time.time())
    document = {"sub": user_id, "iat": now, "exp": now + valid_seconds, **claims}
    return jwt.encode(document, secret, algorithm="HS256")
