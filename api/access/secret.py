"""The text of an API key: `tyk_`, its id, and 256 random bits. Stored is only the SHA-256 of the whole."""

import hashlib
import re
import secrets
from typing import Final

#: Tells a key from a user's JWT, and lets scanners of repositories find one that leaked.
MARK: Final = "tyk_"
ID: Final = re.compile(r"[0-9a-f]{12}", re.ASCII)
DAY_SECONDS: Final = 86_400
#: How long a secret may go on beside the newer one.
MAX_OVERLAP_SECONDS: Final = 30 * DAY_SECONDS
_FORM: Final = re.compile(r"tyk_[0-9a-f]{12}_[0-9a-f]{64}", re.ASCII)


def new_id() -> str:
    return secrets.token_hex(6)


def new_secret(key_id: str) -> str:
    return f"{MARK}{key_id}_{secrets.token_hex(32)}"


def digest(text: str) -> bytes | None:
    """What is stored of the key; None for a text that can be none."""
    return hashlib.sha256(text.encode()).digest() if _FORM.fullmatch(text) else None
