"""Whose request it is: user JWTs of every algorithm that we take, and the tricks that are known."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.auth import UserAuthenticator, authenticator
from api.errors import ProblemError

SECRET = "the-user-secret-of-the-tests-is-long-enough"
ALGORITHMS = ("RS256", "ES256", "EdDSA")
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public_pem(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "ani", "exp": int(time.time()) + 3600, **more}


def hs256(document: dict[str, Any], secret: bytes = SECRET.encode()) -> str:
    """By hand, since libraries refuse to make some of these."""
    return by_hand({"alg": "HS256", "typ": "JWT"}, document, secret)


def by_hand(header: dict[str, Any], document: dict[str, Any], secret: bytes) -> str:
    signing_input = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(document).encode())}"
    signature = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{b64(signature)}"


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def users(max_tokens: int = 10) -> UserAuthenticator:
    return authenticator(SECRET, None, max_tokens=max_tokens)


def refused(who: UserAuthenticator, token: str | None) -> str:
    """The detail of the refusal."""
    with pytest.raises(ProblemError) as caught:
        who.user_id(None if token is None else f"Bearer {token}", time.time())
    assert caught.value.code.status == 401
    return caught.value.detail


def test_hs256() -> None:
    assert users().user_id(f"Bearer {hs256(claims())}", time.time()) == "ani"
    refused(users(), hs256(claims(), b"another secret that is long enough for it"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_public_keys(algorithm: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(public_pem(PRIVATE[algorithm]))
    who = authenticator("", file, max_tokens=10)
    ours = jwt.encode(claims(), PRIVATE[algorithm], algorithm=algorithm)
    assert who.user_id(f"Bearer {ours}", time.time()) == "ani"
    for other in ALGORITHMS:
        if other != algorithm:
            refused(who, jwt.encode(claims(), PRIVATE[other], algorithm=other))
    refused(who, hs256(claims()))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_key_is_no_shared_secret(algorithm: str, tmp_path: Path) -> None:
    """HS256 keyed with the public key's file: anybody has it."""
    pem = public_pem(PRIVATE[algorithm])
    file = tmp_path / "key.pem"
    file.write_bytes(pem)
    who = authenticator("", file, max_tokens=10)
    for secret in (pem, pem.strip()):
        for name in ("HS256", algorithm):
            refused(who, by_hand({"alg": name, "typ": "JWT"}, claims(), secret))


def test_a_key_file_wins_over_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(public_pem(PRIVATE["ES256"]))
    refused(authenticator(SECRET, file, max_tokens=10), hs256(claims()))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "", 7, None])
def test_other_algorithms_are_refused(name: Any) -> None:
    payload = b64(json.dumps(claims()).encode())
    header = b64(json.dumps({"alg": name, "typ": "JWT"}).encode())
    refused(users(), f"{header}.{payload}.")
    refused(users(), by_hand({"alg": name}, claims(), SECRET.encode()))


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in claims().items() if name != claim}


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (claims(exp=int(time.time()) - 1), "expired"),
        (without("exp"), "'exp'"),
        (without("sub"), "'sub'"),
        (claims(exp="tomorrow"), "not valid"),
        (claims(exp=None), "'exp'"),
        (claims(nbf=int(time.time()) + 1000), "not valid"),
        (claims(sub=""), "is empty"),
        (claims(sub="x" * 129), "129 characters"),
        (claims(sub="ü" * 128), "256 bytes"),
        (claims(sub="a\0b"), "U+0000"),
        (claims(sub="a\nb"), "U+000A"),
        (claims(sub="a\ud800b"), "U+D800"),
        (claims(sub=17), "not valid"),
        (claims(sub=["ani"]), "not valid"),
        (claims(sub=None), "'sub'"),
    ],
)
def test_claims_that_are_refused(document: dict[str, Any], part: str) -> None:
    assert part in refused(users(), hs256(document))


@pytest.mark.parametrize(
    "exp",
    [10**400, -(10**400), 1e308, float("inf"), float("nan"), [], {}, True, "99999999999"],
    ids=["huge", "-huge", "1e308", "infinite", "nan", "list", "object", "true", "text"],
)
def test_an_absurd_expiry_is_no_failure_of_ours(exp: Any) -> None:
    """Whatever the login service signs, the answer is a user or a refusal."""
    try:
        user_id = users().user_id(f"Bearer {hs256(claims(exp=exp))}", time.time())
    except ProblemError as error:
        assert error.code.status == 401  # noqa: PT017  (a user is fine as well)
    else:
        assert user_id == "ani"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YW5pOmFuaQ==",
        "Bearer a.b.c",
        "Bearer ....",
        "Bearer \udcff",
        "Bearer é",
        "Bearer " + "A" * 9000,
        "Bearer " + b64(b"[]") + "." + b64(b"[]") + ".",
    ],
)
def test_headers_without_a_jwt(header: str | None) -> None:
    with pytest.raises(ProblemError) as caught:
        users().user_id(header, time.time())
    assert caught.value.code.status == 401


def test_a_user_id_may_be_any_writing() -> None:
    for user_id in ("ani", "user:17", "Ñandú 北京", "x" * 128):
        assert users().user_id(f"Bearer {hs256(claims(sub=user_id))}", time.time()) == user_id


def clock_at(seconds: float) -> type[datetime]:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stopped":
            return cls.fromtimestamp(seconds, tz or UTC)

    return Stopped


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """PyJWT's clock."""
    return lambda seconds: monkeypatch.setattr("jwt.api_jwt.datetime", clock_at(seconds))


def test_the_memory_does_not_outlive_the_expiry(set_clock: Callable[[float], None]) -> None:
    now = 1_795_000_000.0
    set_clock(now)
    who = users()
    header = f"Bearer {hs256(claims(exp=int(now) + 100))}"
    assert who.user_id(header, now) == "ani"
    assert who.user_id(header, now + 99.9) == "ani"

    set_clock(now + 100)
    with pytest.raises(ProblemError) as caught:
        who.user_id(header, now + 100)
    assert "expired" in caught.value.detail


def test_a_remembered_token_is_verified_again_within_the_hour(
    set_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a key that was replaced is forgotten."""
    now = 1_795_000_000.0
    set_clock(now)
    who = users()
    header = f"Bearer {hs256(claims(exp=int(now) + 1_000_000))}"
    assert who.user_id(header, now) == "ani"
    monkeypatch.setattr(who, "_key", "another secret that is long enough for it")
    assert who.user_id(header, now + 3599) == "ani"
    with pytest.raises(ProblemError):
        who.user_id(header, now + 3600)


def test_a_remembered_token_is_not_another_one() -> None:
    who = users()
    token = hs256(claims())
    assert who.user_id(f"Bearer {token}", time.time()) == "ani"
    refused(who, token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1])
    refused(who, None)


def remembered(who: UserAuthenticator) -> int:
    return len(who._young) + len(who._old)


def test_refused_tokens_are_not_remembered_and_the_memory_is_bounded() -> None:
    who = users(max_tokens=4)
    for number in range(20):
        refused(who, hs256(claims(sub=f"user {number}"), b"another secret that is long enough for it"))
    assert remembered(who) == 0
    for number in range(20):
        who.user_id(f"Bearer {hs256(claims(sub=f'user {number}'))}", time.time())
        assert remembered(who) <= 4


def test_tokens_in_use_stay_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    who = users(max_tokens=4)
    often = f"Bearer {hs256(claims())}"
    who.user_id(often, time.time())
    key = who._key
    for number in range(20):
        who.user_id(f"Bearer {hs256(claims(sub=f'user {number}'))}", time.time())
        monkeypatch.setattr(who, "_key", "another secret that is long enough for it")
        assert who.user_id(often, time.time()) == "ani", "not verified again"
        monkeypatch.setattr(who, "_key", key)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        (b"not a key", "no PEM public key"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "RSA, P-256 or Ed25519"),
    ],
)
def test_bad_key_files_are_refused_at_the_start(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        authenticator("", file, max_tokens=10)


def test_a_short_secret_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="TAYANG_USER_JWT_SECRET needs at least 32 bytes"):
        authenticator("x" * 31, None, max_tokens=10)
