"""Where the keys of users' JWTs come from: a PEM file, or a JWKS file that is replaced while we run."""

import itertools
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from api.auth import UserAuthenticator
from api.user_jwt.jwks import JWKS_MAX_BYTES, JWKS_MAX_KEYS, parse_jwks
from tests.support.jwts import (
    ALGORITHMS,
    OTHER_SECRET,
    PRIVATE,
    SECRET,
    accepted,
    b64,
    claims,
    hs256,
    public_jwk,
    public_pem,
    refused,
    signed,
    users,
    write_jwks,
)

SMALL_RSA: Any = rsa.generate_private_key(65537, 1024)  # noqa: S505  (to be refused)
P384 = {"kty": "EC", "crv": "P-384", "x": b64(b"x" * 48), "y": b64(b"y" * 48)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_key_file_says_the_algorithm(algorithm: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(public_pem(PRIVATE[algorithm]))
    who = users(user_jwt_public_key_file=file)
    assert accepted(who, signed(algorithm)) == "ani"
    assert accepted(who, signed(algorithm, kid="whatever the login service calls it")) == "ani"
    for other in ALGORITHMS:
        if other != algorithm:
            refused(who, signed(other))
    refused(who, hs256(claims()))  # the secret is set as well


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        (b"not a key", "no PEM public key"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "RSA, P-256 or Ed25519"),
        (public_pem(SMALL_RSA), "1024 bits"),
    ],
    ids=["missing", "text", "P-384", "short"],
)
def test_bad_key_files_are_refused_at_the_start(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=f"TAYANG_USER_JWT_PUBLIC_KEY_FILE.*{message}"):
        users(user_jwt_public_key_file=file)


def test_the_jwks_file_wins_over_the_other_keys(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(public_pem(PRIVATE["RS256"]))
    file = write_jwks(tmp_path / "jwks.json", [public_jwk("ES256", kid="e")])
    who = users(user_jwt_public_key_file=tmp_path / "key.pem", user_jwt_jwks_file=file)
    assert accepted(who, signed("ES256", kid="e")) == "ani"
    refused(who, signed("RS256"))
    refused(who, signed("HS256"))


def test_keys_without_names_are_for_tokens_that_name_none(tmp_path: Path) -> None:
    """So a shared secret, whose tokens name no key, can be followed by keys that have names."""
    file = write_jwks(tmp_path / "jwks.json", [public_jwk("HS256"), public_jwk("RS256", kid="r")])
    who = users(user_jwt_jwks_file=file, user_jwt_secret="")
    assert accepted(who, signed("HS256")) == "ani"
    assert accepted(who, signed("RS256", kid="r")) == "ani"
    refused(who, signed("HS256", kid="h"))
    refused(who, signed("RS256"))


def test_keys_for_something_else_are_left_out() -> None:
    """As login services have them in their sets."""
    others = [
        public_jwk("RS256", kid="enc", use="enc"),
        public_jwk("RS256", kid="oaep", alg="RSA-OAEP"),
        public_jwk("RS256", kid="ps", alg="PS256"),
        public_jwk("ES256", kid="ops", key_ops=["encrypt"]),
        {**P384, "kid": "p384"},
        {"kty": "OKP", "crv": "X25519", "x": b64(b"x" * 32), "kid": "x"},
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "…", "kid": "post-quantum"},
        {"kty": ["RSA"]},
        {},
    ]
    keys = parse_jwks(
        json.dumps({"keys": [*others, public_jwk("EdDSA", kid="e", use="sig", alg="EdDSA")]}).encode()
    )
    assert [(key.kid, key.algorithm) for key in keys] == [("e", "EdDSA")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON Web Key Set"),
        (b"\xff", "no JSON Web Key Set"),
        (b"[]", "no JSON Web Key Set"),
        (b"[" * 100_000, "no JSON Web Key Set"),
        (b"{}", r'must be \{"keys"'),
        (b'{"keys":{}}', r'must be \{"keys"'),
        (b'{"keys":[],"keys":[]}', "given twice"),
        (b'{"keys":[]}', "has no key for"),
        ([P384], "has no key for"),
        ([7], r"keys\[0\]: is no JSON object"),
        ([public_jwk("RS256")] * (JWKS_MAX_KEYS + 1), "101 keys: remove"),
        ([public_jwk("RS256", kid=7)], r"keys\[0\]: kid must be text"),
        ([public_jwk("RS256", kid="")], r"keys\[0\]: kid must be text"),
        ([public_jwk("RS256", kid="x" * 257)], r"keys\[0\]: kid must be text"),
        ([public_jwk("RS256"), public_jwk("ES256", y="AAAA")], r"keys\[1\]: Coords should be 32 bytes"),
        ([public_jwk("ES256", y=b64(b"y" * 32))], r"keys\[0\]: Unable to construct"),
        ([public_jwk("EdDSA", x="AAAA")], r"keys\[0\]: "),
        ([public_jwk("EdDSA", d="AAAA")], r"keys\[0\]: is a private key"),
        ([public_jwk("RS256", d="AAAA")], r"keys\[0\]: is a private key"),
        ([public_jwk("RS256", n="+/==")], r"keys\[0\]: n is no base64url"),
        ([public_jwk("RS256", n=17)], r"keys\[0\]: n is no base64url"),
        ([public_jwk("HS256", k=b64(b"x" * 31))], r"keys\[0\]: needs at least 32 bytes"),
        ([{"kty": "oct"}], r"keys\[0\]: "),
        ([{"kty": "RSA", "n": "AAAA"}], r"keys\[0\]: "),
    ],
    ids=itertools.count(),
)
def test_what_is_no_key_set_is_refused_at_the_start(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps({"keys": content}).encode())
    with pytest.raises(ValueError, match=rf"^TAYANG_USER_JWT_JWKS_FILE: \S*jwks.json {message}|{message}"):
        users(user_jwt_jwks_file=file)


@pytest.mark.parametrize("kid", ["same", None])
def test_two_keys_for_one_name_are_refused(kid: str | None, tmp_path: Path) -> None:
    secrets = [public_jwk("HS256"), {"kty": "oct", "k": b64(OTHER_SECRET.encode())}]
    file = write_jwks(tmp_path / "jwks.json", [{**jwk, **({"kid": kid} if kid else {})} for jwk in secrets])
    with pytest.raises(ValueError, match=r"TAYANG_USER_JWT_JWKS_FILE: .* two "):
        users(user_jwt_jwks_file=file)


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "huge"])
def test_what_is_no_small_file_is_refused_at_the_start(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    if kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "huge":
        write_jwks(file, [public_jwk("RS256"), {"kty": "x" * JWKS_MAX_BYTES}])
    with pytest.raises(
        ValueError, match=r"TAYANG_USER_JWT_JWKS_FILE: .*(can't be read|no regular file|262144 bytes)"
    ):
        users(user_jwt_jwks_file=file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_jwks(tmp_path / "jwks.json", [public_jwk("HS256", kid="a")])


def look_again(who: UserAuthenticator) -> None:
    assert who.jwks is not None
    who.jwks.poll()


def test_a_rotation_needs_no_restart(file: Path) -> None:
    who = users(user_jwt_jwks_file=file, user_jwt_secret="")
    old, new = signed("HS256", kid="a"), signed("ES256", kid="b")
    assert accepted(who, old) == "ani"
    refused(who, new)

    write_jwks(file, [public_jwk("HS256", kid="a"), public_jwk("ES256", kid="b")])
    refused(who, new)
    look_again(who)
    assert [accepted(who, token) for token in (old, new)] == ["ani", "ani"]

    write_jwks(file, [public_jwk("ES256", kid="b")])
    look_again(who)
    refused(who, old)
    assert accepted(who, new) == "ani"


def test_another_key_of_the_same_name_is_another_key(file: Path) -> None:
    who = users(user_jwt_jwks_file=file)
    token = hs256(claims(), SECRET.encode(), kid="a")
    other = hs256(claims(), OTHER_SECRET.encode(), kid="a")
    assert accepted(who, token) == "ani"
    write_jwks(file, [{"kty": "oct", "kid": "a", "k": b64(OTHER_SECRET.encode())}])
    look_again(who)
    refused(who, token)
    assert accepted(who, other) == "ani"


def test_a_change_that_leaves_size_and_time_is_seen(file: Path) -> None:
    who = users(user_jwt_jwks_file=file)
    before = file.stat()
    with file.open("r+") as stream:  # in place
        text = stream.read().replace('"a"', '"b"')
        stream.seek(0)
        stream.write(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino)
    look_again(who)
    assert accepted(who, signed("HS256", kid="b")) == "ani"


@pytest.mark.parametrize(
    "content",
    [None, b"", b'{"keys":[', b'{"keys":[]}', b"x" * (JWKS_MAX_BYTES + 1)],
    ids=["missing", "empty", "half", "none", "huge"],
)
def test_a_broken_file_leaves_the_keys_as_they_were(
    file: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    who = users(user_jwt_jwks_file=file)
    assert who.jwks is not None
    good = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with caplog.at_level(logging.INFO, "tayang.auth"):
        for _ in range(3):
            look_again(who)
    assert len(caplog.records) == 1, "said once"
    assert "TAYANG_USER_JWT_JWKS_FILE" in caplog.text
    assert "the keys stay" in caplog.text
    assert who.jwks.error
    assert accepted(who, signed("HS256", kid="a")) == "ani"

    file.write_bytes(good)
    look_again(who)
    assert not who.jwks.error
    assert accepted(who, signed("HS256", kid="a")) == "ani"


def test_a_file_that_has_not_changed_is_not_read_into_keys_again(file: Path) -> None:
    who = users(user_jwt_jwks_file=file)
    for _ in range(3):
        look_again(who)
    assert who.jwks is not None
    assert who.jwks.loads == 1


def test_secrets_are_in_no_log(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    who = users(user_jwt_jwks_file=file)
    with caplog.at_level(logging.DEBUG):
        write_jwks(file, [public_jwk("HS256", kid="b")])
        look_again(who)
        write_jwks(file, [public_jwk("HS256", kid="c", k=b64(OTHER_SECRET[:20].encode()))])
        look_again(who)
    assert "'b'" in caplog.text
    assert "needs at least 32 bytes" in caplog.text
    for secret in (SECRET, OTHER_SECRET[:20]):
        assert b64(secret.encode()) not in caplog.text
        assert secret not in caplog.text + repr(who.verifier.ring.keys)
