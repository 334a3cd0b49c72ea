"""The Authorization header, and the memory of what was verified."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

from api.auth import UserAuthenticator
from api.errors import ProblemError
from tests.support.jwts import (
    OTHER_SECRET,
    SECRET,
    accepted,
    b64,
    claims,
    hs256,
    public_jwk,
    refused,
    signed,
    users,
    write_jwks,
)
from tests.support.waiting import until


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


def test_only_who_sent_a_token_is_told_that_it_is_the_token() -> None:
    for header, expected in ((None, "Bearer"), ("Bearer a.b.c", 'Bearer error="invalid_token"')):
        with pytest.raises(ProblemError) as caught:
            users().user_id(header, time.time())
        assert caught.value.response().headers["WWW-Authenticate"] == expected


def test_the_name_of_the_scheme_has_no_case() -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert users().user_id(f"{scheme} {hs256(claims())}", time.time()) == "ani"


def test_two_tokens_in_one_header_are_none() -> None:
    """What a gateway makes of a header that is sent twice."""
    token = hs256(claims())
    assert "not valid" in refused(users(), f"{token}, Bearer {token}")
    assert "not valid" in refused(users(), f"{token} {token}")


def test_a_user_id_may_be_any_writing() -> None:
    for user_id in ("ani", "user:17", "Ñandú 北京", "x" * 128):
        assert accepted(users(), hs256(claims(sub=user_id))) == user_id


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """PyJWT's clock."""
    return lambda seconds: monkeypatch.setattr("jwt.api_jwt.datetime", clock_at(seconds))


def clock_at(seconds: float) -> type[datetime]:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stopped":
            return cls.fromtimestamp(seconds, tz or UTC)

    return Stopped


@pytest.mark.parametrize("leeway_seconds", [0.0, 300.0])
def test_the_memory_does_not_outlive_the_expiry(
    set_clock: Callable[[float], None], leeway_seconds: float
) -> None:
    now = 1_795_000_000.0
    set_clock(now)
    who = users(user_jwt_leeway_seconds=leeway_seconds)
    header = f"Bearer {hs256(claims(exp=int(now) + 100))}"
    assert who.user_id(header, now) == "ani"
    assert who.user_id(header, now + 99.9) == "ani"
    assert verified(who) == 1

    set_clock(now + 100)
    with pytest.raises(ProblemError) as caught:
        who.user_id(header, now + 100)
    assert "expired" in caught.value.detail


def test_a_remembered_token_is_verified_again_within_ten_minutes(set_clock: Callable[[float], None]) -> None:
    """So the metric of a key's tokens tells within ten minutes whether it is still used."""
    now = 1_795_000_000.0
    set_clock(now)
    who = users()
    header = f"Bearer {hs256(claims(exp=int(now) + 1_000_000))}"
    for seconds, times in ((0, 1), (599, 1), (600, 2), (601, 2)):
        assert who.user_id(header, now + seconds) == "ani"
        assert verified(who) == times


def test_a_remembered_token_is_not_another_one() -> None:
    who = users()
    token = hs256(claims())
    assert accepted(who, token) == "ani"
    refused(who, token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1])
    refused(who, None)


def test_the_memory_does_not_outlive_the_key(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    named = {name: public_jwk("ES256", kid=name) for name in ("old", "new")}
    named["new"] = public_jwk("RS256", kid="new")
    write_jwks(file, list(named.values()))
    who = users(user_jwt_jwks_file=file, verified_max_tokens=2)
    tokens = {"old": signed("ES256", kid="old"), "new": signed("RS256", kid="new")}
    for _ in range(2):  # one is remembered in the young generation, one in the old
        assert [accepted(who, token) for token in tokens.values()] == ["ani", "ani"]

    write_jwks(file, [named["new"]])
    assert who.jwks is not None
    who.jwks.poll()
    assert "key" in refused(who, tokens["old"])
    before = verified(who)
    assert accepted(who, tokens["new"]) == "ani"
    assert verified(who) == before, "the key that stays has kept what it verified"


def test_a_key_that_comes_back_is_believed_again(tmp_path: Path) -> None:
    file = write_jwks(tmp_path / "jwks.json", [public_jwk("HS256"), public_jwk("EdDSA", kid="e")])
    who = users(user_jwt_jwks_file=file)
    token = signed("EdDSA", kid="e")
    assert who.jwks is not None
    for present in (True, False, True):
        write_jwks(file, [public_jwk("HS256"), *([public_jwk("EdDSA", kid="e")] if present else [])])
        who.jwks.poll()
        if present:
            assert accepted(who, token) == "ani"
        else:
            refused(who, token)


def test_refused_tokens_are_not_remembered_and_the_memory_is_bounded() -> None:
    who = users(verified_max_tokens=4)
    for number in range(20):
        refused(who, hs256(claims(sub=f"user {number}"), OTHER_SECRET.encode()))
    assert remembered(who) == 0
    for number in range(20):
        accepted(who, hs256(claims(sub=f"user {number}")))
        assert remembered(who) <= 4


def test_tokens_in_use_stay_remembered() -> None:
    who = users(verified_max_tokens=4)
    often = hs256(claims(sub="often"))
    assert accepted(who, often) == "often"
    for number in range(20):
        accepted(who, hs256(claims(sub=f"user {number}")))
        assert accepted(who, often) == "often"
    assert verified(who) == 21


def test_an_erased_user_is_forgotten_in_both_generations() -> None:
    who = users(verified_max_tokens=4)
    ani = [hs256(claims(sub="ani", jti=str(number))) for number in range(3)]
    budi = hs256(claims(sub="budi"))
    for token in (*ani, budi):
        accepted(who, token)
    assert (len(who._old), len(who._young)) == (2, 2)
    who.forget("ani")
    assert [known[0] for known in (*who._old.values(), *who._young.values())] == ["budi"]
    assert accepted(who, ani[0]) == "ani"
    who.forget(None)
    assert remembered(who) == 0


async def test_what_is_not_used_is_let_go_of_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.auth._REMEMBER_SECONDS", 0.002)
    who = users()
    accepted(who, hs256(claims(sub="ani")))
    turning = asyncio.create_task(who.run())
    await until(lambda: not remembered(who), "nothing is remembered")
    turning.cancel()


def verified(who: UserAuthenticator) -> int:
    """How many signatures were verified."""
    return sum(key.verified for key in who.verifier.ring.keys)


def remembered(who: UserAuthenticator) -> int:
    return len(who._young) + len(who._old)


def test_a_short_secret_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="TAYANG_USER_JWT_SECRET needs at least 32 bytes"):
        users(user_jwt_secret=SECRET[:31])


def test_a_public_key_as_a_secret_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="TAYANG_USER_JWT_SECRET looks like"):
        users(user_jwt_secret="-----BEGIN PUBLIC KEY-----\n" + "A" * 40 + "\n-----END PUBLIC KEY-----")
