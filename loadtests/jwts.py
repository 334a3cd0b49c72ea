"""JWTs of users, HS256. PyJWT looks at its key anew for each, which takes most of a load test's minting."""

import hmac
from base64 import urlsafe_b64encode
from typing import Final

_VALID_SECONDS: Final = 86_400


class Mint:
    """Of one secret; `issued_at` in Unix time. They are valid for a day."""

    def __init__(self, secret: str, issued_at: int) -> None:
        self._secret = secret.encode()
        self._times = f'"iat":{issued_at},"exp":{issued_at + _VALID_SECONDS}'

    def jwt(self, user: str) -> str:
        """`user` is of ours: there is nothing in it that JSON would have to escape."""
        signed = _HEADER + _base64(f'{{"sub":"{user}",{self._times}}}'.encode())
        return (signed + b"." + _base64(hmac.digest(self._secret, signed, "sha256"))).decode()


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


_HEADER: Final = _base64(b'{"alg":"HS256","typ":"JWT"}') + b"."
