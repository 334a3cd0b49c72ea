"""Popup tokens as `GET /v1/popups` would have given them, now or some time ago."""

import time
from typing import Any

from api.tokens import TokenSigner
from tests.support.service import TOKEN_SECRET

SIGNER = TokenSigner([TOKEN_SECRET])


def token(
    user: str = "ani",
    *,
    campaign_id: int = 7,
    served_seconds_ago: float = 0.0,
    signer: TokenSigner = SIGNER,
    **flags: Any,
) -> str:
    """Of variant `a`. `flags` are those of `sign`: session, test, ghost, unit."""
    now_ms = time.time_ns() // 1_000_000 - int(served_seconds_ago * 1000)
    signed = signer.sign(
        user.encode(), campaign_id, b"a", now_ms=now_ms, show_by=now_ms // 1000 + 600, **flags
    )
    return signed.decode()
