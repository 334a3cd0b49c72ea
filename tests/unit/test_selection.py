"""The choice of popups: its order, its reasons to leave one out, and an oracle from the design's words."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.campaigns.groups import compile_policy
from api.campaigns.history import History, Seen
from api.campaigns.live import LiveCampaign, by_priority
from api.campaigns.policy import Policy
from tests.support.campaigns import live
from tests.support.engine import ask, shown
from tests.support.rows import microseconds

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANI = b"ani"


def history(shown: dict[int, list[datetime]] | None = None, listed: tuple[int, ...] = ()) -> History:
    """`shown`: for each campaign the times at which it was."""
    seen = {
        number: Seen(len(times), sorted((microseconds(each) for each in times), reverse=True)[:64])
        for number, times in (shown or {}).items()
    }
    return History(seen, listed)


def chosen(
    campaigns: list[LiveCampaign], known: History, *, user: bytes = ANI, now: datetime = NOW, limit: int = 20
) -> list[int]:
    asked = ask(known, user=user, now_us=microseconds(now), limit=limit)
    return [campaign.id for campaign in shown(campaigns, asked)]


def test_the_lowest_priority_number_is_shown_first() -> None:
    campaigns = [live(1, priority=30), live(2, priority=10), live(3, priority=20)]
    assert chosen(campaigns, history()) == [2, 3, 1]
    assert chosen(campaigns, history(), limit=2) == [2, 3]


def test_priority_counts_more_than_when_it_was_shown() -> None:
    campaigns = [live(1, priority=10), live(2, priority=20)]
    assert chosen(campaigns, history({1: [NOW]})) == [1, 2]


def test_among_equals_never_shown_comes_first_then_longest_ago() -> None:
    shown = {1: [NOW - SECOND], 2: [NOW - 3 * SECOND, NOW - 9 * SECOND], 3: [NOW - 2 * SECOND]}
    assert chosen([live(number) for number in (1, 2, 3, 4)], history(shown)) == [4, 2, 3, 1]


def test_the_last_tie_is_broken_for_each_user_in_a_fixed_way() -> None:
    campaigns = [live(number) for number in range(1, 6)]
    order = chosen(campaigns, history())
    for _ in range(3):
        campaigns = campaigns[1:] + campaigns[:1]
        assert chosen(campaigns, history()) == order
    remade = [live(number) for number in range(1, 6)]
    assert chosen(remade, history()) == order, "another process decides the same"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_last_tie_is_fair_over_users(count: int) -> None:
    """Each campaign is first for its share of users: chi-square below its 1-in-a-million value."""
    campaigns = by_priority([live(number) for number in range(1, count + 1)])
    users = 4000
    first = Counter(
        shown(campaigns, ask(user=b"user %d" % n, now_us=microseconds(NOW), limit=1))[0].id
        for n in range(users)
    )
    expected = users / count
    chi_square = sum((first[campaign.id] - expected) ** 2 / expected for campaign in campaigns)
    assert chi_square < {2: 23.9, 3: 27.6, 5: 33.4}[count]


def test_a_cap_stops_the_campaign_at_its_limit_and_says_so() -> None:
    campaign = live(1, caps=[{"limit": 2, "window": "24h"}, {"limit": 3, "window": "lifetime"}])
    day = timedelta(hours=24)
    assert chosen([campaign], history({1: [NOW]})) == [1]
    assert campaign.tally["capped"] == 0
    assert chosen([campaign], history({1: [NOW, NOW - day + SECOND]})) == []
    assert chosen([campaign], history({1: [NOW, NOW - day]})) == [1], "exactly a day old: out of the window"
    assert chosen([campaign], history({1: [NOW - day, NOW - day, NOW - 99 * day]})) == [], "three ever"
    assert campaign.tally["capped"] == 2


def test_a_lifetime_cap_counts_more_than_the_times_that_are_kept() -> None:
    campaign = live(1, caps=[{"limit": 100, "window": "lifetime"}])
    kept = [microseconds(NOW)] * 64
    assert chosen([campaign], History({1: Seen(99, kept)})) == [1]
    assert chosen([campaign], History({1: Seen(100, kept)})) == []


def test_a_cooldown_ends_after_its_time() -> None:
    campaign = live(1, cooldown="30m")
    half_an_hour = timedelta(minutes=30)
    assert chosen([campaign], history({1: [NOW - half_an_hour + SECOND, NOW - 9 * half_an_hour]})) == []
    assert campaign.tally["cooling_down"] == 1
    assert chosen([campaign], history({1: [NOW - half_an_hour]})) == [1]


def test_a_listed_audience_gets_it_and_nobody_else() -> None:
    campaign = live(7, audience="listed")
    assert chosen([campaign], history(listed=(6, 8))) == []
    assert campaign.tally["not_listed"] == 1
    assert chosen([campaign], history(listed=(6, 7))) == [7]


def test_a_campaign_behind_the_last_needed_priority_is_not_looked_at() -> None:
    capped = live(2, priority=20, caps=[{"limit": 1, "window": "day"}])
    campaigns = [live(1, priority=10), capped]
    assert chosen(campaigns, history({2: [NOW]}), limit=1) == [1]
    assert capped.tally["capped"] == 0
    assert chosen(campaigns, history({2: [NOW]}), limit=2) == [1]
    assert capped.tally["capped"] == 1


def test_nothing_to_choose_from() -> None:
    assert chosen([], history()) == []


def test_an_unmerged_impression_counts_wherever_it_belongs_in_time() -> None:
    known = history({1: [NOW - 5 * SECOND, NOW - 20 * SECOND]})
    known.count(1, microseconds(NOW - 10 * SECOND))
    known.count(2, microseconds(NOW))
    first, second = known.of(1), known.of(2)
    assert first is not None
    assert second is not None
    assert first.total == 3
    assert first.recent_us == [microseconds(NOW - n * SECOND) for n in (5, 10, 20)]
    assert (second.total, second.recent_us) == (1, [microseconds(NOW)])
    assert known.of(3) is None


# The oracle. It knows campaigns as plain facts and re-counts raw times; it shares no code with the engine.

ZONE_OFFSETS = {"UTC": 0, "Asia/Jakarta": 7, "Asia/Kathmandu": 5.75}  # none of them changes its clocks
LENGTHS = {"1s": 1, "90s": 90, "30m": 1800, "24h": 86_400, "7d": 604_800}


@dataclass
class Fact:
    number: int
    priority: int
    listed: bool
    starts_at: datetime | None
    ends_at: datetime | None
    zone: str
    caps: dict[str, int]
    cooldown: str | None
    shown: list[datetime] = field(default_factory=list)
    on_list: bool = False

    def campaign(self) -> LiveCampaign:
        return live(
            self.number,
            priority=self.priority,
            audience="listed" if self.listed else "everyone",
            starts_at=None if self.starts_at is None else self.starts_at.isoformat(),
            ends_at=None if self.ends_at is None else self.ends_at.isoformat(),
            timezone=self.zone,
            caps=[{"limit": limit, "window": window} for window, limit in self.caps.items()],
            cooldown=self.cooldown,
        )

    def may_be_shown(self, now: datetime) -> bool:
        if self.starts_at is not None and now < self.starts_at:
            return False
        if self.ends_at is not None and now >= self.ends_at:
            return False
        if self.listed and not self.on_list:
            return False
        if any(self.times_in(window, now) >= limit for window, limit in self.caps.items()):
            return False
        if self.cooldown is None or not self.shown:
            return True
        return (now - max(self.shown)).total_seconds() >= LENGTHS[self.cooldown]

    def times_in(self, window: str, now: datetime) -> int:
        if window == "lifetime":
            return len(self.shown)
        if window in LENGTHS:
            return sum((now - each).total_seconds() < LENGTHS[window] for each in self.shown)
        return sum(self.period(window, each) == self.period(window, now) for each in self.shown)

    def period(self, window: str, moment: datetime) -> tuple[int, ...]:
        local = moment + timedelta(hours=ZONE_OFFSETS[self.zone])
        if window == "day":
            return (local.year, local.month, local.day)
        return local.isocalendar()[:2] if window == "week" else (local.year, local.month)

    def rank(self) -> tuple[int, datetime]:
        return self.priority, max(self.shown, default=datetime.min.replace(tzinfo=UTC))


def expected_ranks(facts: list[Fact], now: datetime, limit: int) -> list[tuple[int, datetime]]:
    return sorted(fact.rank() for fact in facts if fact.may_be_shown(now))[:limit]


near = st.sampled_from([-1, 0, 1]).map(lambda n: timedelta(microseconds=n))
ages = st.one_of(
    st.builds(
        lambda length, some: abs(timedelta(seconds=length) + some),
        st.sampled_from(list(LENGTHS.values())),
        near,
    ),
    st.integers(0, 40 * 86_400).map(lambda n: timedelta(seconds=n)),
    st.just(timedelta()),
)
bounds = st.none() | st.integers(-2, 2).map(lambda n: NOW + timedelta(microseconds=n))
windows = st.sampled_from([*LENGTHS, "day", "week", "month", "lifetime"])


@st.composite
def facts(draw: st.DrawFn, number: int) -> Fact:
    starts_at, ends_at = draw(bounds), draw(bounds)
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        ends_at = None
    return Fact(
        number=number,
        priority=draw(st.integers(1, 3)),
        listed=draw(st.booleans()),
        starts_at=starts_at,
        ends_at=ends_at,
        zone=draw(st.sampled_from(list(ZONE_OFFSETS))),
        caps=draw(st.dictionaries(windows, st.integers(1, 4), max_size=2)),
        cooldown=draw(st.none() | st.sampled_from(list(LENGTHS))),
        shown=[NOW - age for age in draw(st.lists(ages, max_size=5))],
        on_list=draw(st.booleans()),
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_choice_is_what_the_oracle_says(data: st.DataObject) -> None:
    known = [data.draw(facts(number)) for number in range(1, data.draw(st.integers(1, 7)) + 1)]
    limit = data.draw(st.integers(1, 8))
    by_number = {fact.number: fact for fact in known}

    picked = chosen(
        [fact.campaign() for fact in known],
        history(
            {fact.number: fact.shown for fact in known if fact.shown},
            tuple(fact.number for fact in known if fact.on_list),
        ),
        limit=limit,
    )

    assert len(set(picked)) == len(picked)
    assert all(by_number[number].may_be_shown(NOW) for number in picked)
    assert [by_number[number].rank() for number in picked] == expected_ranks(known, NOW, limit)


@pytest.mark.parametrize("before", range(10))
def test_an_answer_fills_a_policys_cap_and_never_overfills_it(before: int) -> None:
    """Also around the number below which nothing need be counted."""
    policy = compile_policy(
        Policy.model_validate({"version": 1, "caps": [{"limit": 8, "window": "24h"}]}),
        tags={},
        uncounted=(),
        exempt=(),
    )
    known = history({9: [NOW - SECOND] * before})
    asked = ask(known, now_us=microseconds(NOW), limit=5, policy=policy)
    assert len(shown([live(number) for number in range(1, 8)], asked)) == min(5, max(0, 8 - before))
