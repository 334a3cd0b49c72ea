"""What a user's JWT must be: the algorithms that we take, the claims, and the tricks that are known."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.utils import base64url_decode

from api.auth import UserAuthenticator
from api.errors import ProblemError
from api.user_jwt.keys import UnknownKeyError
from tests.support.jwts import (
    ALGORITHMS,
    OTHER_SECRET,
    PRIVATE,
    SECRET,
    accepted,
    b64,
    by_hand,
    claims,
    hs256,
    public_jwk,
    public_pem,
    raw,
    refused,
    signed,
    users,
    write_jwks,
)

NOW = int(time.time())  # when the tests were collected: some run many minutes later


@pytest.fixture
def several(tmp_path: Path) -> UserAuthenticator:
    """A key of each algorithm, named after it."""
    keys = [public_jwk(algorithm, kid=algorithm) for algorithm in ("HS256", *ALGORITHMS)]
    return users(user_jwt_jwks_file=write_jwks(tmp_path / "jwks.json", keys), user_jwt_secret="")


@pytest.mark.parametrize("algorithm", ["HS256", *ALGORITHMS])
def test_each_key_verifies_its_tokens_and_no_others(several: UserAuthenticator, algorithm: str) -> None:
    assert accepted(several, signed(algorithm, kid=algorithm)) == "ani"
    for other in ("HS256", *ALGORITHMS):
        if other != algorithm:
            assert "not signed with a key" in refused(several, signed(algorithm, kid=other))
    forged: Any = {"HS256": OTHER_SECRET, "RS256": rsa.generate_private_key(65537, 2048)}.get(algorithm)
    if forged is not None:
        token = jwt.encode(claims(), forged, algorithm, headers={"kid": algorithm})
        assert "not valid" in refused(several, token)


@pytest.mark.parametrize("algorithm", ["HS256", *ALGORITHMS])
def test_a_changed_token_is_refused(several: UserAuthenticator, algorithm: str) -> None:
    header, payload, signature = signed(algorithm, kid=algorithm).split(".")
    other = b64(json.dumps(claims(sub="budi")).encode())
    refused(several, f"{header}.{other}.{signature}")
    flipped = bytearray(base64url_decode(signature))
    flipped[0] ^= 1
    refused(several, f"{header}.{payload}.{b64(bytes(flipped))}")
    refused(several, f"{header}.{payload}.{b64(base64url_decode(signature)[:-1])}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_key_is_no_shared_secret(algorithm: str, tmp_path: Path) -> None:
    """HS256 keyed with what anybody may have: the public key, in each form in which it is published."""
    pem = public_pem(PRIVATE[algorithm])
    jwk = json.dumps(public_jwk(algorithm, kid="k"))
    (tmp_path / "key.pem").write_bytes(pem)
    by_pem = users(user_jwt_public_key_file=tmp_path / "key.pem")
    by_jwks = users(user_jwt_jwks_file=write_jwks(tmp_path / "jwks.json", [json.loads(jwk)]))
    for who in (by_pem, by_jwks):
        assert accepted(who, signed(algorithm, kid="k")) == "ani"
        for secret in (pem, pem.strip(), jwk.encode(), base64url_decode(json.loads(jwk).get("x", "AAAA"))):
            for name in ("HS256", algorithm):
                refused(who, by_hand({"alg": name, "kid": "k"}, claims(), secret))
                refused(who, by_hand({"alg": name}, claims(), secret))


@pytest.mark.parametrize(
    "name",
    [
        "none",
        "None",
        "NONE",
        "nOnE",
        "HS384",
        "HS512",
        "RS256",
        "PS256",
        "ES384",
        "hs256",
        "",
        7,
        None,
        ["HS256"],
    ],
)
def test_other_algorithms_are_refused(several: UserAuthenticator, name: Any) -> None:
    for who, header in ((users(), {"alg": name, "typ": "JWT"}), (several, {"alg": name, "kid": "HS256"})):
        refused(who, f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims()).encode())}.")
        refused(who, by_hand(header, claims(), SECRET.encode()))


def test_the_wrong_algorithm_is_seen_before_anything_is_computed(several: UserAuthenticator) -> None:
    """What is forged should cost its sender more than us."""
    ring = several.verifier.ring
    assert ring.key_for({"kid": "RS256", "alg": "RS256"}).kid == "RS256"
    for algorithm in ("HS256", "none", None, ["RS256"]):
        with pytest.raises(UnknownKeyError):
            ring.key_for({"kid": "RS256", "alg": algorithm})


@pytest.mark.parametrize(
    "kid",
    [
        "another",
        "",
        "hs256",
        "../../../../dev/null",
        "/etc/hostname",
        "file:///etc/hostname",
        "' UNION SELECT 'x",
        "HS256\0",
        "x" * 4000,
        17,
        True,
        ["HS256"],
        {"HS256": 1},
    ],
    ids=itertools.count(),
)
def test_a_key_that_is_not_known_is_refused(several: UserAuthenticator, kid: Any) -> None:
    """Signed with what such a file would hold, with nothing, and with a key that is known by another name."""
    for secret in (b"", b"\0", SECRET.encode()):
        assert "not signed with a key" in refused(several, hs256(claims(), secret, kid=kid))


def test_a_token_must_name_its_key_if_the_keys_have_names(several: UserAuthenticator) -> None:
    """Else it would fail at the first rotation, and not at the first try."""
    assert "kid" in refused(several, hs256(claims()))
    assert "kid" in refused(several, hs256(claims(), kid=None))


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_a_token_does_not_bring_its_own_key(several: UserAuthenticator, member: str) -> None:
    own = rsa.generate_private_key(65537, 2048)
    jwk = jwt.get_algorithm_by_name("RS256").to_jwk(own.public_key(), as_dict=True)
    value = {"jwk": jwk, "x5c": [b64(public_pem(own))]}.get(member, "http://127.0.0.1:9/jwks.json")
    for kid in ("own", "RS256"):
        refused(several, jwt.encode(claims(), own, "RS256", headers={"kid": kid, member: value}))


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": False, "crit": ["b64"]}]
)
def test_extensions_that_must_be_understood_are_refused(header: dict[str, Any]) -> None:
    refused(users(), hs256(claims(), **header))


HEADER = b'{"alg":"HS256"}'
CLAIMS = json.dumps(claims()).encode()


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"HS256","alg":"none"}', CLAIMS),
        (b'{"alg":"none","alg":"HS256"}', CLAIMS),
        (HEADER, CLAIMS.replace(b'"sub": "ani"', b'"sub": "budi", "sub": "ani"')),
        (HEADER, CLAIMS.replace(b'"exp"', b'"exp": 1, "exp"')),
        (HEADER, CLAIMS.replace(b'"exp"', b'"\\u0065xp": 1, "exp"')),
        (HEADER, CLAIMS.replace(b"{", b'{"roles": {"a": 1, "a": 2}, ', 1)),
        (HEADER, CLAIMS + b" {}"),
        (HEADER, CLAIMS[:-1]),
        (HEADER, b"[" + CLAIMS + b"]"),
        (HEADER, b'"ani"'),
        (HEADER, b"\xef\xbb\xbf" + CLAIMS),
        (HEADER, CLAIMS.decode().encode("utf-16")),
        (HEADER, CLAIMS.replace(b"ani", b"\xff\xfe")),
        (HEADER.decode().encode("utf-16-le"), CLAIMS),
        (HEADER, b'{"a":' + b"[" * 2500 + b"]" * 2500 + b"," + CLAIMS[1:]),
        (b"[" * 5000, CLAIMS),
    ],
    ids=itertools.count(),
)
def test_what_may_be_read_in_two_ways_is_refused(header: bytes, payload: bytes) -> None:
    assert accepted(users(), raw(HEADER, CLAIMS)) == "ani"
    assert "not valid" in refused(users(), raw(header, payload))


@pytest.mark.parametrize("size", [8, 100, 10_000])
def test_a_huge_token_is_refused(size: int) -> None:
    token = hs256(claims(more="x" * size * 1024))
    assert "longer than 8192 characters" in refused(users(), token)


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in claims().items() if name != claim}


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (claims(exp=NOW - 1), "expired"),
        (claims(exp=NOW - 10_000), "expired"),
        (without("exp"), "'exp'"),
        (without("sub"), "'sub'"),
        (claims(exp="tomorrow"), "not valid"),
        (claims(exp=str(NOW + 1_000_000)), "no number"),
        (claims(exp=True), "expired"),
        (claims(exp=None), "'exp'"),
        (claims(nbf=NOW + 1_000_000), "not valid yet"),
        (claims(nbf=str(NOW)), "no number"),
        (claims(iat=NOW + 1_000_000), "not valid yet"),
        (claims(iat=[]), "not valid"),
        (claims(sub=""), "is empty"),
        (claims(sub="x" * 129), "129 characters"),
        (claims(sub="ü" * 128), "256 bytes"),
        (claims(sub="a\0b"), "U+0000"),
        (claims(sub="a\nb"), "U+000A"),
        (claims(sub="a\ud800b"), "U+D800"),
        (claims(sub=17), "must be text"),
        (claims(sub=True), "must be text"),
        (claims(sub=["ani"]), "must be text"),
        (claims(sub={"id": "ani"}), "must be text"),
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
        user_id = accepted(users(), hs256(claims(exp=exp)))
    except ProblemError as error:
        assert error.code.status == 401  # noqa: PT017  (a user is fine as well)
    else:
        assert user_id == "ani"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_the_issuers_clock_may_be_ahead_by_the_leeway(claim: str) -> None:
    """A phone can't help it: each new token would be from the future too."""
    who = users(user_jwt_leeway_seconds=30.0)
    assert accepted(who, hs256(claims(**{claim: int(time.time()) + 20}))) == "ani"
    assert "not valid yet" in refused(who, hs256(claims(**{claim: NOW + 1_000_000})))
    assert "not valid yet" in refused(
        users(user_jwt_leeway_seconds=0.0), hs256(claims(**{claim: NOW + 1_000_000}))
    )


def test_an_expired_token_has_no_leeway() -> None:
    """The phone gets a new one."""
    assert "expired" in refused(users(user_jwt_leeway_seconds=300.0), hs256(claims(exp=NOW - 1)))


@pytest.mark.parametrize("aud", ["app", ["app"], ["elsewhere", "app"], "web"])
def test_the_audience_is_one_of_ours(aud: Any) -> None:
    assert accepted(users(user_jwt_audience=("app", "web")), hs256(claims(aud=aud))) == "ani"


@pytest.mark.parametrize(
    ("aud", "part"),
    [
        ({"aud": "elsewhere"}, "audience"),
        ({"aud": ["elsewhere"]}, "audience"),
        ({"aud": "ap"}, "audience"),
        ({"aud": "app,web"}, "audience"),
        ({"aud": ["app", 7]}, "audience"),
        ({"aud": {"app": 1}}, "audience"),
        ({"aud": 7}, "audience"),
        ({"aud": ""}, "'aud'"),
        ({"aud": []}, "'aud'"),
        ({"aud": None}, "'aud'"),
        ({}, "'aud'"),
    ],
)
def test_another_audience_is_refused(aud: dict[str, Any], part: str) -> None:
    assert part in refused(users(user_jwt_audience=("app", "web")), hs256(claims(**aud)))


def test_without_the_settings_audience_and_issuer_are_not_looked_at() -> None:
    assert accepted(users(), hs256(claims(aud="elsewhere", iss="somebody"))) == "ani"


@pytest.mark.parametrize(
    ("iss", "part"),
    [
        ({"iss": "https://evil"}, "issuer"),
        ({"iss": "https://login."}, "issuer"),
        ({"iss": ["https://login"]}, "issuer"),
        ({"iss": None}, "issuer"),
        ({}, "'iss'"),
    ],
)
def test_another_issuer_is_refused(iss: dict[str, Any], part: str) -> None:
    who = users(user_jwt_issuer=("https://login",))
    assert accepted(who, hs256(claims(iss="https://login"))) == "ani"
    assert part in refused(who, hs256(claims(**iss)))


def test_refusals_are_counted_by_reason() -> None:
    who = users(user_jwt_audience=("app",), user_jwt_issuer=("login",))
    good = claims(aud="app", iss="login")
    for token in (
        "a.b.c",
        hs256(good, OTHER_SECRET.encode()),
        hs256({**good, "exp": 1}),
        hs256({**good, "nbf": NOW + 1_000_000}),
        hs256({**good, "aud": "x"}),
        hs256({**good, "iss": "x"}),
        hs256({**good, "sub": ""}),
        hs256(good, alg="HS512"),
    ):
        refused(who, token)
    assert set(who.verifier.refused.values()) == {1}, who.verifier.refused
