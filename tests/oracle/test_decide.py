"""The oracle by itself, against cases computed by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.oracle.calendars import first_instant, on_air, period_begin
from tests.oracle.decide import Verdicts, decide
from tests.oracle.documents import Document, Event, zone_of
from tests.oracle.rules import Situation
from tests.oracle.shrink import CAMPAIGN
from tests.oracle.targeting import matches

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)  # a Monday; noon in Jakarta
SECOND = timedelta(seconds=1)
_NO_POLICY: Document = {"caps": [], "min_gap": None, "timezone": "UTC", "tags": {}, "holdout_percent": 0}
_REQUEST: Document = {
    "user": "ani",
    "placement": "home",
    "limit": 5,
    "attributes": {},
    "session": None,
    "tz": None,
    "test": False,
}


class Draws:
    """By id; held out is who is named in the key of the campaign, or with any percent of the policy."""

    def order(self, user: str, campaign: Document) -> int:
        del user
        return -int(campaign["id"])

    def held_out(self, user: str, campaign: Document) -> bool:
        return campaign["holdout_percent"] > 0 and user == "held"

    def globally_held_out(self, user: str, percent: float) -> bool:
        return percent > 0 and user in ("withheld", "held")


def campaign(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, **CAMPAIGN, **fields}


def verdicts(
    *campaigns: dict[str, Any], events: tuple[Event, ...] = (), now: datetime = NOW, **fields: Any
) -> Verdicts:
    """`fields` of the request, and `policy`, `listed`, `spent`."""
    policy: Document = fields.pop("policy", {})
    situation = Situation(
        campaigns={each["id"]: each for each in campaigns},
        policy={**_NO_POLICY, **policy},
        listed=frozenset(fields.pop("listed", ())),
        spent=fields.pop("spent", {}),
        events=list(events),
        request={**_REQUEST, **fields},
        now=now,
        draws=Draws(),
    )
    return decide(situation)


def shown(number: int, ago: timedelta = SECOND, **fields: Any) -> Event:
    return Event(number, fields.pop("kind", "impression"), NOW - ago, **fields)


def test_equal_priorities_go_by_what_was_shown_longest_ago_and_then_by_the_given_order() -> None:
    found = verdicts(
        *(campaign(number) for number in range(1, 5)),
        campaign(5, priority=9),
        events=(shown(4, 9 * SECOND), shown(3, 8 * SECOND), shown(5)),
    )
    assert found.ranking == [5, 2, 1, 4, 3]
    assert found.chosen == found.ranking


def test_what_comes_after_the_limit_is_outranked() -> None:
    found = verdicts(campaign(1), campaign(2), campaign(3, status="paused"), limit=1)
    assert found.chosen == [2]
    assert found.of[1].codes == ("outranked",)
    assert found.of[3].codes == ("not_live",)


def test_every_failing_rule_is_named_in_the_order_of_evaluation() -> None:
    all_at_once = campaign(
        1,
        status="paused",
        placement="cart",
        targeting={"attribute": "platform", "op": "eq", "value": "ios"},
        starts_at="2026-11-24T00:00:00Z",
        schedule=[{"days": ["tue"], "from": "00:00", "to": "24:00"}],
        audience="listed",
        stop_after={"click": 1, "dismiss": {"count": 1, "for": "1s"}},
        caps=[
            {"limit": 1, "window": "24h"},
            {"limit": 2, "window": "day"},
            {"limit": 1, "window": "session"},
        ],
        cooldown="30m",
        budget={"total": 5, "per_day": None, "pacing": "asap", "hard": False},
        holdout_percent=1,
    )
    events = (shown(1), shown(1, kind="click"), shown(1, kind="dismiss"))
    found = verdicts(all_at_once, events=events, spent={1: {"total": 5, "today": 0}})
    assert found.of[1].codes == (
        *("not_live", "other_placement", "targeting", "not_started", "outside_schedule", "not_listed"),
        *("stopped", "capped", "no_session", "cooling_down", "out_of_budget"),
    )


@pytest.mark.parametrize(
    ("cap", "ago", "capped", "until"),
    [
        ({"limit": 1, "window": "30m"}, timedelta(minutes=30), False, None),
        ({"limit": 1, "window": "30m"}, timedelta(minutes=29), True, NOW + timedelta(minutes=1)),
        ({"limit": 1, "window": "day"}, timedelta(hours=12), True, datetime(2026, 11, 23, 17, tzinfo=UTC)),
        ({"limit": 1, "window": "day"}, timedelta(hours=12, microseconds=1), False, None),
        ({"limit": 1, "window": "week"}, timedelta(hours=12), True, datetime(2026, 11, 29, 17, tzinfo=UTC)),
        ({"limit": 1, "window": "week"}, timedelta(hours=13), False, None),
        ({"limit": 1, "window": "month"}, timedelta(days=22), True, datetime(2026, 11, 30, 17, tzinfo=UTC)),
        ({"limit": 1, "window": "lifetime"}, timedelta(days=900), True, None),
        ({"limit": 2, "window": "lifetime"}, timedelta(days=900), False, None),
    ],
)
def test_windows(cap: Document, ago: timedelta, *, capped: bool, until: datetime | None) -> None:
    found = verdicts(campaign(1, caps=[cap], timezone="Asia/Jakarta"), events=(shown(1, ago),)).of[1]
    assert found.codes == (("capped",) if capped else ())
    assert [rule.until(NOW) for rule in found.rules] == [until] * capped


def test_a_session_cap_counts_the_session_and_needs_one() -> None:
    capped = campaign(1, caps=[{"limit": 1, "window": "session"}])
    events = (shown(1, session="s1"),)
    assert verdicts(capped, events=events, session="s1").of[1].codes == ("capped",)
    assert verdicts(capped, events=events, session="s2").chosen == [1]
    assert verdicts(capped, events=events).of[1].codes == ("no_session",)


def test_a_stop_ends_with_its_time() -> None:
    stops = campaign(1, stop_after={"convert": {"count": 2, "for": "30m"}})
    twice = (shown(1, kind="convert"), shown(1, timedelta(hours=1), kind="convert"))
    rule = verdicts(stops, events=twice).of[1].rules[0]
    assert (rule.code, rule.until(NOW)) == ("stopped", NOW - SECOND + timedelta(minutes=30))
    assert verdicts(stops, events=twice[:1]).chosen == [1]


def test_a_policy_with_two_left_admits_two_and_exempt_ones_use_them_up() -> None:
    policy = {"caps": [{"limit": 3, "window": "day"}]}
    found = verdicts(*map(campaign, (1, 2, 3)), events=(shown(9), shown(1)), policy=policy)
    assert found.chosen == [3, 2]
    assert found.of[1].codes == ("policy_capped",)

    found = verdicts(
        campaign(1), campaign(2, exempt=True), campaign(3), campaign(4, exempt=True),
        events=(shown(1),), policy={"caps": [{"limit": 2, "window": "day"}]},
    )  # fmt: skip
    assert found.chosen == [4, 2]
    assert found.of[3].codes == ("policy_capped",)


def test_within_one_answer_a_gap_admits_one_that_counts() -> None:
    policy = {"min_gap": "60s"}
    found = verdicts(campaign(1), campaign(2, counts_for_policy=False), campaign(3), policy=policy)
    assert found.chosen == [3]
    assert found.of[2].codes == ("policy_gap",)
    found = verdicts(campaign(1), campaign(2, counts_for_policy=False), policy=policy)
    assert found.chosen == [2, 1]


def test_a_tag_limits_those_that_have_it() -> None:
    policy = {"tags": {"promo": {"caps": [{"limit": 1, "window": "24h"}], "min_gap": None}}}
    tagged = {"tags": ["promo", "news"]}
    found = verdicts(campaign(1, **tagged), campaign(2, **tagged), campaign(3), policy=policy)
    assert found.chosen == [3, 2]
    assert found.of[1].codes == ("tag_capped",)


def test_a_user_held_out_of_a_campaign_leaves_a_ghost_that_takes_nothing() -> None:
    policy = {"caps": [{"limit": 1, "window": "day"}]}
    found = verdicts(campaign(1), campaign(2, holdout_percent=1), policy=policy, user="held", limit=1)
    assert (found.chosen, found.ghosts) == ([1], [2])
    assert found.of[2].codes == ("held_out",)
    assert verdicts(campaign(2, holdout_percent=1), user="held", test=True).chosen == [2]


def test_a_global_ghost_takes_a_slot_and_what_is_left() -> None:
    found = verdicts(
        campaign(1), campaign(2, exempt=True), campaign(3), campaign(4),
        policy={"caps": [{"limit": 2, "window": "day"}], "holdout_percent": 1}, user="withheld", limit=3,
        events=(shown(1), shown(9), shown(4, kind="ghost")),
    )  # fmt: skip
    assert (found.chosen, found.ghosts) == ([2], [3])
    assert found.of[1].codes == ("policy_capped", "globally_held_out")


def test_ghosts_are_capped_as_what_they_stand_for() -> None:
    capped = campaign(1, caps=[{"limit": 1, "window": "day"}], holdout_percent=1)
    assert verdicts(capped, events=(shown(1),), user="held").ghosts == [1]
    assert verdicts(capped, events=(shown(1, kind="ghost"),), user="held").of[1].first == "capped"
    assert verdicts(capped, events=(shown(1, kind="ghost"),)).chosen == [1]


@pytest.mark.parametrize(
    ("used", "codes"), [(400, ()), (600, ("paced",)), (999, ("paced",)), (1000, ("out_of_budget", "paced"))]
)
def test_an_even_pace_allows_noon_half_of_the_day(used: int, codes: tuple[str, ...]) -> None:
    budget = {"total": None, "per_day": 1000, "pacing": "even", "hard": False}
    paced = campaign(1, timezone="Asia/Jakarta", budget=budget)
    assert verdicts(paced, spent={1: {"total": used, "today": used}}).of[1].codes == codes


@pytest.mark.parametrize(
    ("zone", "day", "begin"),
    [
        ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z"),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00:00Z"),  # midnight doesn't happen
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"),  # and here twice: the first
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z"),
        ("America/St_Johns", "2010-11-06", "2010-11-06T02:30:00Z"),
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z"),  # for a minute, then it was the 6th again
        ("Pacific/Apia", "2011-12-30", None),
    ],
)
def test_days_begin_when_the_clock_says_so(zone: str, day: str, begin: str | None) -> None:
    found = first_instant(datetime.fromisoformat(day).date(), ZoneInfo(zone))
    assert found == (None if begin is None else datetime.fromisoformat(begin))


def test_a_week_whose_monday_is_there_begins_with_it() -> None:
    apia = ZoneInfo("Pacific/Apia")
    saturday = datetime(2011, 12, 31, 12, tzinfo=apia)
    assert period_begin("week", saturday, apia) == datetime(2011, 12, 26, tzinfo=apia)
    assert period_begin("day", saturday, apia) == datetime(2011, 12, 31, tzinfo=apia)


@pytest.mark.parametrize(
    ("wall", "days", "span", "expected"),
    [
        ("2026-11-23T08:00", ["mon"], ("08:00", "22:00"), True),
        ("2026-11-23T22:00", ["mon"], ("08:00", "22:00"), False),
        ("2026-11-24T03:59", ["mon"], ("22:00", "04:00"), True),
        ("2026-11-23T03:59", ["mon"], ("22:00", "04:00"), False),
        ("2026-11-23T23:59", ["mon"], ("00:00", "24:00"), True),
        ("2026-11-24T07:59", ["mon"], ("08:00", "08:00"), True),
    ],
)
def test_dayparts(wall: str, days: list[str], span: tuple[str, str], *, expected: bool) -> None:
    zone = ZoneInfo("Asia/Jakarta")
    now = datetime.fromisoformat(wall).replace(tzinfo=zone)
    assert on_air([{"days": days, "from": span[0], "to": span[1]}], now, zone) is expected


def test_the_next_daypart_is_found_where_clocks_change() -> None:
    # The slot begins in the hour that is skipped, so it is on the air from 03:00.
    schedule = [{"days": ["sun"], "from": "02:30", "to": "04:00"}]
    early = campaign(1, schedule=schedule, timezone="America/New_York")
    now = datetime(2026, 3, 8, 6, tzinfo=UTC)
    rule = verdicts(early, now=now).of[1].rules[0]
    assert rule.until(now) == datetime(2026, 3, 8, 7, tzinfo=UTC)


def test_with_the_users_zone_dayparts_follow_the_request() -> None:
    lunch = campaign(
        1, schedule=[{"days": ["mon"], "from": "12:00", "to": "13:00"}], schedule_timezone="user"
    )
    assert verdicts(lunch).of[1].first == "outside_schedule"
    for zone in ("Asia/Jakarta", "+07:00", "GMT+07:00", "UTC+07:00"):
        assert verdicts(lunch, tz=zone).chosen == [1]
    assert zone_of("-03:30").utcoffset(None) == timedelta(hours=-3, minutes=-30)


@pytest.mark.parametrize(
    ("attribute", "op", "value", "text", "expected"),
    [
        ("app_version", "eq", "5.2", "5.2.0", True),
        ("app_version", "lt", "5.10", "5.9", True),
        ("app_version", "lt", "5.2", "5.2-rc1", True),
        ("app_version", "lt", "5.2-rc2", "5.2-rc1", True),
        ("app_version", "eq", "5.2+7", "5.2+8", True),
        ("app_version", "prefix", "5.", "5.x", True),
        ("app_version", "ne", "5.2", "latest", True),
        ("app_version", "lt", "5.2", "latest", False),
        ("attr.age", "gte", 18, "18.0", True),
        ("attr.age", "lt", 18, "old", False),
        ("attr.age", "ne", 18, "old", True),
        ("attr.tier", "gt", "gold", "silver", True),
        ("attr.tier", "in", ["gold", "silver"], "Gold", False),
        ("attr.tier", "not_in", ["gold"], None, False),
        ("attr.tier", "ne", "gold", None, True),
        ("attr.tier", "exists", False, None, True),
        ("attr.tier", "exists", True, "", True),
    ],
)
def test_conditions(attribute: str, op: str, value: Any, text: str | None, *, expected: bool) -> None:
    node = {"attribute": attribute, "op": op, "value": value}
    attributes = {} if text is None else {attribute: text}
    assert matches(node, attributes) is expected
    assert matches({"not": node}, attributes) is not expected


def test_trees() -> None:
    gold = {"attribute": "attr.tier", "op": "eq", "value": "gold"}
    assert matches({"all": []}, {})
    assert matches({"any": [gold, {"not": gold}]}, {})
    assert not matches({"all": [gold, {"not": gold}]}, {"attr.tier": "gold"})
