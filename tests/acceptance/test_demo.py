"""`tayang demo` against a real service, and its checks against a ledger that breaks them."""

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tayang.demo.checks import check
from tayang.demo.day import day_of
from tayang.demo.ledger import Impression, Ledger
from tests.acceptance.banner import UpShell
from tests.acceptance.processes import Shell
from tests.support.waiting import until

#: Of what was on a screen: ghosts are counted under negative ids.
_MERGED = """
    SELECT coalesce(sum(total), 0) FROM user_campaign_counts
    WHERE user_id ~ '^demo-[0-9]+$' AND campaign_id > 0
"""

_WELCOMED = """
    SELECT ARRAY[count(*), max(total)] FROM user_campaign_counts JOIN campaigns ON id = campaign_id
    WHERE key = 'welcome' AND user_id ~ '^demo-[0-9]+$'
"""


async def test_a_short_demo_holds_its_checks_and_agrees_with_the_database(up_shell: UpShell) -> None:
    up = await up_shell.up()
    before = await up.on_replica(_MERGED)

    ended = await up_shell.run("demo", "--users", "20", "--seconds", "3", "--json")

    report = json.loads(ended.out)
    assert ended.code == 0, ended
    assert (report["users"], report["passed"], report["stopped"], report["errors"]) == (20, True, False, {})
    assert len(report["checks"]) == 3
    assert all(each["passed"] for each in report["checks"])
    assert report["openings"] > 100
    for figure in ("served", "shown", "capped"):
        assert report[figure] == sum(campaign[figure] for campaign in report["campaigns"])
    for campaign in report["campaigns"]:
        assert campaign["served"] >= campaign["shown"]
    figures = {campaign["campaign"]: campaign for campaign in report["campaigns"]}
    assert figures["welcome"]["capped"] > 20
    assert figures["ramadan-2025"]["served"] == figures["indonesia-100"]["served"] == 0
    assert report["sent_twice"] > 0

    async def merged() -> bool:
        return bool(await up.on_replica(_MERGED) == before + report["shown"])

    await until(merged, "the counts are what the users saw, however often they sent it")
    assert await up.on_replica(_WELCOMED) == [20, 1], "each user once"

    await _interrupted(up_shell)
    assert (await up.stop()).code == 0


async def _interrupted(up_shell: UpShell) -> None:
    """A day that is ended early ends with a summary."""
    demo = await up_shell.start("demo", "--users", "5", "--seconds", "600")
    await demo.says("0 of 600 s: ")
    demo.signal(signal.SIGINT)
    ended = await demo.ended()
    assert ended.code == 0, ended
    assert "Stopped early. 5 users" in ended.out
    assert "ok     no request failed" in ended.out


async def test_without_a_service_it_says_how_to_start_one(shell: Shell) -> None:
    ended = await shell.run("demo")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"tayang: no service answers at {shell.url}: start it with 'tayang up' (make run) in another "
        "terminal, or set TAYANG_HTTP_HOST and TAYANG_HTTP_PORT\n"
    )


def test_a_seed_gives_one_plan() -> None:
    assert day_of(7, 1) == day_of(7, 1) != day_of(7, 2)


def _ledger(*caps: tuple[int, str], status: str = "live") -> Ledger:
    campaign: dict[str, Any] = {
        "key": "sale",
        "status": status,
        "placement": "home",
        "timezone": "Asia/Jakarta",
        "caps": [{"limit": limit, "window": window} for limit, window in caps],
    }
    return Ledger([campaign])


def _shown(ledger: Ledger, *moments: datetime) -> None:
    for number, moment in enumerate(moments):
        us = int(moment.timestamp() * 1e6)
        ledger.acknowledged(f"token {number}", "sale", "ani", Impression(us, us + 1000))


_EVENING = datetime(2026, 3, 2, 16, 30, tzinfo=UTC)  # 23:30 in Jakarta
_HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("cap", "moments", "passed"),
    [
        ((2, "lifetime"), (_EVENING, _EVENING + 100 * _HOUR), True),
        ((1, "lifetime"), (_EVENING, _EVENING + 100 * _HOUR), False),
        ((1, "1h"), (_EVENING, _EVENING + _HOUR), True),
        ((1, "1h"), (_EVENING, _EVENING + _HOUR / 2), False),
        ((2, "1h"), (_EVENING, _EVENING + 2 * _HOUR, _EVENING + 2.1 * _HOUR, _EVENING + 2.2 * _HOUR), False),
        ((1, "day"), (_EVENING, _EVENING + _HOUR), True),
        ((1, "day"), (_EVENING, _EVENING + _HOUR / 4), False),
    ],
)
def test_an_overshoot_fails_the_check(
    cap: tuple[int, str], moments: tuple[datetime, ...], *, passed: bool
) -> None:
    ledger = _ledger(cap)
    _shown(ledger, *moments)
    assert [each.passed for each in check(ledger)] == [True, passed, True]


@pytest.mark.parametrize(("sessions", "passed"), [(("one", "two"), True), (("one", "two", "one"), False)])
def test_an_overshoot_in_a_session_fails_the_check(sessions: tuple[str, ...], *, passed: bool) -> None:
    ledger = _ledger((1, "session"))
    for number, session in enumerate(sessions):
        ledger.acknowledged(f"token {number}", "sale", "ani", Impression(number, number, session))
    assert check(ledger)[1].passed is passed


def test_one_token_is_one_impression() -> None:
    ledger = _ledger((1, "lifetime"))
    _shown(ledger, _EVENING)
    _shown(ledger, _EVENING + _HOUR)
    assert check(ledger)[1].passed
    assert ledger.total("shown") == 1


def test_an_error_and_a_campaign_that_is_not_live_fail_their_checks() -> None:
    ledger = _ledger(status="paused")
    ledger.popups_served(["sale"])
    ledger.failed("GET /v1/popups: 503 unavailable")
    assert [each.passed for each in check(ledger)] == [False, True, False]
    assert check(ledger)[0].detail == "1 x GET /v1/popups: 503 unavailable"
    assert check(ledger)[2].detail == "sale is paused and was served 1 times"
