"""Tokens and key sets that another library makes: what a login service that isn't Python's PyJWT sends."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from tests.support.jwts import accepted, claims, refused, users

GENERATED: dict[str, Any] = {
    "HS256": OctKey.generate_key(256, {"kid": "HS256", "alg": "HS256"}, private=True),
    "RS256": RSAKey.generate_key(2048, {"kid": "RS256", "use": "sig", "alg": "RS256"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ES256", "use": "sig", "alg": "ES256"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "EdDSA", "use": "sig", "alg": "EdDSA"}),
}


def minted(algorithm: str, key: Any, **header: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has another name since RFC 9864
        return jwt.encode({"alg": algorithm, **header}, claims(), key, algorithms=[algorithm])


@pytest.fixture
def key_set(tmp_path: Path) -> Path:
    """The public keys, and the shared one, as joserfc writes them."""
    documents = [key.as_dict(private=algorithm == "HS256") for algorithm, key in GENERATED.items()]
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": documents}))
    return file


@pytest.mark.parametrize("algorithm", GENERATED)
def test_by_key_set(algorithm: str, key_set: Path) -> None:
    who = users(user_jwt_jwks_file=key_set, user_jwt_secret="")
    assert accepted(who, minted(algorithm, GENERATED[algorithm], kid=algorithm)) == "ani"
    stranger = {"HS256": OctKey, "RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}[algorithm]
    other = stranger.generate_key({"HS256": 256, "RS256": 2048, "ES256": "P-256"}.get(algorithm, "Ed25519"))  # type: ignore[attr-defined]
    assert "not valid" in refused(who, minted(algorithm, other, kid=algorithm))


def test_a_whole_set_of_its_making(tmp_path: Path) -> None:
    keys = KeySet([GENERATED["RS256"], GENERATED["ES256"]])
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(keys.as_dict(private=False)))
    who = users(user_jwt_jwks_file=file)
    for algorithm in ("RS256", "ES256"):
        assert accepted(who, minted(algorithm, GENERATED[algorithm], kid=algorithm)) == "ani"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_by_public_key_file(algorithm: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(GENERATED[algorithm].as_pem(private=False))
    assert accepted(users(user_jwt_public_key_file=file), minted(algorithm, GENERATED[algorithm])) == "ani"


def test_by_secret() -> None:
    secret = "a secret of the login service, long enough"
    token = minted("HS256", OctKey.import_key(secret))
    assert accepted(users(user_jwt_secret=secret), token) == "ani"


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519", None])
def test_ed25519_by_its_new_name(name: str | None, tmp_path: Path) -> None:
    key = OKPKey.generate_key("Ed25519")
    document = {**key.as_dict(private=False), "kid": "k", **({"alg": name} if name else {})}
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [document]}))
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=False))
    for who in (users(user_jwt_jwks_file=file), users(user_jwt_public_key_file=tmp_path / "key.pem")):
        for algorithm in ("EdDSA", "Ed25519"):
            assert accepted(who, minted(algorithm, key, kid="k")) == "ani"
