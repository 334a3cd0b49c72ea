"""Budgets without a database: what a stock serves, and what a soft budget counts."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.campaigns import unmerged
from api.campaigns.budget import Lease, SoftBudget, Stock
from api.campaigns.live import LiveCampaign, compile_campaign
from api.campaigns.model import Campaign
from tests.support.campaigns import document, live
from tests.support.engine import ask, catalog_of, shown
from tests.support.rows import microseconds

JAKARTA = ZoneInfo("Asia/Jakarta")
NOON_UTC = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # 19:00 in Jakarta
NOON = microseconds(NOON_UTC)
MIDNIGHT = microseconds(datetime(2026, 11, 24, 0, 0, tzinfo=JAKARTA))
TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)


def stock(*units: int, per_day: bool = False) -> Stock:
    made = Stock(JAKARTA, per_day=per_day)
    for number, each in enumerate(units, start=1):
        made.add(Lease(number, each, made.day_at(NOON)))
    return made


def chosen(campaign: LiveCampaign, now_us: int = NOON) -> bool:
    return bool(shown([campaign], ask(now_us=now_us)))


def test_a_stock_serves_each_unit_once_the_oldest_lease_first() -> None:
    some = stock(2, 1)
    reserved = []
    while some.has_room(NOON):
        reserved.append(some.reserve(NOON)[:2])
    assert reserved == [(1, 0), (1, 1), (2, 0)]
    assert some.free_units(NOON) == 0


def test_a_lease_that_has_ended_is_not_served_from() -> None:
    some = stock(2, 5)
    first = some.leases[0]
    some.remove(first)
    some.remove(first)
    assert some.free_units(NOON) == 5
    assert some.reserve(NOON).lease_id == 2


def test_it_calls_for_more_before_it_is_empty() -> None:
    some, calls = stock(4), []
    some.on_low = lambda: calls.append(some.free_units(NOON))
    for _ in range(4):
        some.reserve(NOON)
    assert calls == [2, 1, 0]


def test_a_unit_is_served_on_its_own_day_only() -> None:
    some = stock(5, per_day=True)
    assert some.has_room(MIDNIGHT - 1)
    assert not some.has_room(MIDNIGHT)
    assert some.free_units(MIDNIGHT) == 0
    assert some.reserve(MIDNIGHT - 1).end_us == MIDNIGHT
    assert some.day_at(MIDNIGHT - 1).date == TODAY
    assert some.day_at(MIDNIGHT).date == TOMORROW
    assert some.day_at(MIDNIGHT - 1).date == TODAY, "a clock may go back"


def test_without_a_limit_for_the_day_a_unit_outlives_midnight() -> None:
    some = stock(5)
    assert some.has_room(MIDNIGHT + 1)
    assert some.day_at(NOON).date == TODAY
    assert some.reserve(NOON).end_us > MIDNIGHT + 86_400_000_000


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/Havana", date(2026, 11, 1), 25),  # 01:00 → 00:00: two midnights, the first one counts
        ("America/Havana", date(2026, 3, 8), 23),  # 00:00 → 01:00: no midnight
        ("Asia/Jakarta", date(2026, 11, 1), 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(zone: str, day: date, hours: int) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    found = Stock(ZoneInfo(zone), per_day=True).day_at(microseconds(noon))
    assert found.date == day
    assert found.end_us - found.first_us == hours * 3_600_000_000
    for moment_us in (found.first_us, found.end_us - 1):
        local = datetime.fromtimestamp(moment_us // 1_000_000, ZoneInfo(zone))
        assert local.date() == day
    assert datetime.fromtimestamp(found.end_us // 1_000_000, ZoneInfo(zone)).date() == day + timedelta(days=1)


def test_a_hard_campaign_without_units_is_left_out_and_says_so() -> None:
    campaign = live(1, budget={"total": 5, "hard": True})
    assert not chosen(campaign)
    assert campaign.tally["out_of_budget"] == 1
    assert isinstance(campaign.budget, Stock)
    campaign.budget.add(Lease(1, 1, campaign.budget.day_at(NOON)))
    assert chosen(campaign)
    assert chosen(campaign), "choosing takes nothing"
    campaign.budget.reserve(NOON)
    assert not chosen(campaign)


def test_a_changed_hard_campaign_begins_without_units() -> None:
    before = live(1, budget={"total": 5, "hard": True})
    assert isinstance(before.budget, Stock)
    before.budget.add(Lease(1, 1, before.budget.day_at(NOON)))
    after = compile_campaign(Campaign.model_validate(document(1, budget={"total": 9, "hard": True})), before)
    assert not chosen(after)
    assert after.tally is before.tally


def test_the_catalog_knows_its_budgets() -> None:
    stored = [
        Campaign.model_validate(document(number, budget=budget))
        for number, budget in ((1, None), (2, {"total": 1}), (3, {"total": 1, "hard": True}))
    ]
    catalog = catalog_of(stored, hard_budget_ids=[3, 7])
    assert [campaign.id for campaign in catalog.budgeted] == [2, 3]
    assert catalog.hard_budget_ids == {3, 7}


# Soft budgets.


def soft(total: int | None = None, per_day: int | None = None, *, known: bool = True) -> SoftBudget:
    made = SoftBudget(JAKARTA, total=total, per_day=per_day)
    if known:
        made.update(total=0, by_day={}, watermark=0)
    return made


def test_a_soft_budget_serves_nothing_before_it_knows_what_is_spent() -> None:
    some = soft(total=5, known=False)
    assert not some.has_room(NOON)
    some.update(total=4, by_day={}, watermark=0)
    assert some.has_room(NOON)


def test_merged_and_pending_count_together_and_none_twice() -> None:
    some = soft(total=3)
    some.add_pending(1, NOON)
    some.add_pending(2, NOON)
    assert some.has_room(NOON)
    some.add_pending(3, NOON)
    assert not some.has_room(NOON)
    some.update(total=2, by_day={TODAY: 2}, watermark=2)
    assert not some.has_room(NOON), "two merged, one pending"
    some.update(total=2, by_day={TODAY: 2}, watermark=3)
    assert some.has_room(NOON), "the third was a resend of another process's, say"
    some.update(total=3, by_day={TODAY: 3}, watermark=3)
    assert not some.has_room(NOON)


def test_a_day_has_a_budget_of_its_own() -> None:
    some = soft(per_day=2)
    some.add_pending(1, MIDNIGHT - 1)
    some.add_pending(2, MIDNIGHT - 1)
    assert not some.has_room(MIDNIGHT - 1)
    assert some.has_room(MIDNIGHT)
    some.add_pending(3, MIDNIGHT)
    assert some.has_room(MIDNIGHT)
    some.update(total=2, by_day={TODAY: 2}, watermark=2)
    some.add_pending(4, MIDNIGHT)
    assert not some.has_room(MIDNIGHT)
    assert not some.has_room(MIDNIGHT - 1)


def test_the_lower_of_both_limits_holds() -> None:
    some = soft(total=3, per_day=2)
    some.update(total=3, by_day={TODAY: 1}, watermark=0)
    assert not some.has_room(NOON)
    some.update(total=2, by_day={TODAY: 2}, watermark=0)
    assert not some.has_room(NOON)
    some.update(total=2, by_day={TODAY: 1}, watermark=0)
    assert some.has_room(NOON)


def test_a_changed_limit_keeps_what_is_spent() -> None:
    before = live(1, budget={"total": 5})
    assert isinstance(before.budget, SoftBudget)
    before.budget.update(total=5, by_day={}, watermark=0)
    assert not chosen(before)
    after = compile_campaign(Campaign.model_validate(document(1, budget={"total": 6})), before)
    assert chosen(after)
    assert isinstance(after.budget, SoftBudget)
    after.budget.add_pending(1, NOON)
    assert not chosen(after)


def test_a_budget_that_becomes_hard_or_soft_begins_anew() -> None:
    budgets = [None, {"total": 5}, {"total": 5, "hard": True}, {"total": 5}, None]
    kinds = [type(None), SoftBudget, Stock, SoftBudget, type(None)]
    campaign = None
    for budget, kind in zip(budgets, kinds, strict=True):
        campaign = compile_campaign(Campaign.model_validate(document(1, budget=budget)), campaign)
        assert type(campaign.budget) is kind
        assert not chosen(campaign) or budget is None


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=60),
    st.integers(1, 8),
)
def test_pending_is_what_was_added_above_the_watermark(steps: list[tuple[int, int]], groups: int) -> None:
    """However few groups there are, nothing pending is missed, and all is forgotten once it is merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unmerged, "_GROUPS_MAX", groups)
        some = soft(per_day=1_000_000)
        added: list[tuple[int, int]] = []
        watermark = 0
        for kind, day in steps:
            if kind:
                added.append((len(added) + 1, day))
                some.add_pending(len(added), NOON + day * 86_400_000_000)
            else:
                watermark = (watermark + len(added) + 1) // 2
                some.update(total=0, by_day={}, watermark=watermark)
        for day in range(3):
            above = sum(seq > watermark and each == day for seq, each in added)
            assert some._pending.by_day[TODAY + timedelta(days=day)] >= above
        changes = sum(before != after for (_, before), (_, after) in pairwise(added))
        assert len(some._pending.groups) <= groups + changes
        some.update(total=0, by_day={}, watermark=len(added))
        assert (some._pending.total, +some._pending.by_day, len(some._pending.groups)) == (0, {}, 0)
