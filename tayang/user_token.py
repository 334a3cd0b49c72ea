"""A user's JWT, as the app's own login service would issue it. For development and load tests."""

import time

import jwt


def mint(secret: str, user_id: str, *, valid_seconds: int = 86_400) -> str:
    """HS256, with `sub`, `iat` and `exp`."""
    now = int(time.time())
    return jwt.encode({"sub": user_id, "iat": now, "exp": now + valid_seconds}, secret, algorithm="HS256")
