"""Hard budgets on a real primary: leases are granted, spent, given back and closed, and never too many."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from api.campaigns.catalog import Stored
from tests.support.budgets import Process, counted, hard_campaign, id_of, overdue, spent_on
from tests.support.buffered import Event, buffer
from tests.support.database import Database
from tests.support.waiting import until

Start = Callable[..., Process]


@pytest.fixture(name="start")
async def start_fixture(database: Database) -> AsyncIterator[Start]:
    """Start processes: `start(campaign_id, max_units=…)`. They end as if killed."""
    async with AsyncExitStack() as stack:

        def start(campaign_id: int, **settings: float | str) -> Process:
            process = Process(database, campaign_id, **settings)  # type: ignore[arg-type]  # by name
            stack.push_async_callback(process.close)
            return process

        yield start


async def everything(*processes: Process) -> int:
    """Serve and confirm all that can be had; returns how many were accepted."""
    accepted = 0
    while True:
        await asyncio.gather(*(process.ask() for process in processes))
        served = [(process, process.serve_all()) for process in processes]
        if not any(tokens for _, tokens in served):
            return accepted
        for process, tokens in served:
            accepted += len(await process.spend(tokens))


async def test_the_fewer_are_left_the_fewer_at_once(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=20)
    process = start(campaign, max_units=1_000)
    sizes = []
    while True:
        await process.keeper.keep()
        tokens = process.serve_all()
        if not tokens:
            break
        sizes.append(len(tokens))
    assert sizes == [10, 5, 3, 1, 1]


async def test_a_lease_has_its_largest_size(database: Database, start: Start) -> None:
    process = start(await hard_campaign(database, total=1_000), max_units=7)
    await process.keeper.keep()
    assert len(process.serve_all()) == 7


async def test_processes_share_what_is_left(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=100)
    first, second = start(campaign, max_units=1_000), start(campaign, max_units=1_000)
    await first.keeper.keep()
    await second.keeper.keep()
    assert (len(first.serve_all()), len(second.serve_all())) == (50, 13), "50 of 100, then 50 / (2 * 2)"


async def test_all_is_delivered_and_not_one_more(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=137)
    processes = [start(campaign, max_units=10) for _ in range(4)]
    assert await everything(*processes) == 137
    assert await counted(database, campaign) == 137


async def test_asking_is_needed_before_serving_is_not(database: Database, start: Start) -> None:
    """The next units are there before the last ones are served."""
    process = start(await hard_campaign(database, total=1_000), max_units=4)
    await process.keeper.keep()
    process.serve()
    await process.keeper.keep()
    assert process.keeper.held == 1, "three of four are left"
    process.serve()
    await process.keeper.keep()
    assert process.keeper.held == 2


async def test_a_stopped_process_gives_back_what_it_did_not_serve(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    first, second = start(campaign, max_units=10), start(campaign, max_units=10)
    await first.keeper.keep()
    tokens = first.serve_all(2)
    await first.keeper.give_back()
    assert not first.has_room()
    assert await everything(second) == 8
    assert len(await second.spend(tokens)) == 2, "what it had served can be confirmed, anywhere"
    assert await counted(database, campaign) == 10


async def test_a_lease_that_has_had_its_time_is_given_back(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    first = start(campaign, max_units=10, lease_seconds=0.0)
    await first.keeper.keep()
    await until(lambda: not first.has_room(), "its time is over")
    for holding in first.keeper._holdings.values():
        holding.ask_at = asyncio.get_running_loop().time() + 60
    await first.keeper.keep()
    assert await everything(start(campaign, max_units=10)) == 10


async def test_giving_back_again_after_a_lost_answer_does_no_harm(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    first = start(campaign, max_units=10)
    await first.keeper.keep()
    tokens = first.serve_all(2)
    holding = first.keeper._holdings[campaign]
    holding.end_all()
    told = list(holding.given_back)
    await first.keeper._settle(holding, None)
    await first.spend(tokens[:1])
    holding.given_back = told
    await first.keeper._settle(holding, None)
    assert len(await first.spend(tokens)) == 2
    assert await everything(start(campaign, max_units=10)) == 8


async def test_units_of_a_killed_process_come_back_when_its_leases_are_closed(
    database: Database, start: Start
) -> None:
    campaign = await hard_campaign(database, total=10)
    killed, other = start(campaign, max_units=10), start(campaign, max_units=10)
    await killed.keeper.keep()
    tokens = killed.serve_all(4)
    await killed.spend(tokens[:3])
    await killed.close()
    assert await everything(other) == 5, "it had five"
    await overdue(database)
    assert await everything(other) == 2
    assert await counted(database, campaign) == 10
    assert await other.spend(tokens[3:]) == set(), "its unit has gone to another"
    assert await counted(database, campaign) == 10


async def test_what_leases_have_spent_adds_up_when_they_are_closed(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=12)
    accepted = 0
    for _ in range(3):
        process = start(campaign, max_units=3)
        await process.ask()
        accepted += len(await process.spend(process.serve_all()))
        await overdue(database)
    assert accepted == 9
    assert await everything(start(campaign)) == 3
    assert await counted(database, campaign) == 12


async def test_a_resend_spends_nothing_and_is_accepted_for_ever(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    first, second = start(campaign), start(campaign)
    await first.keeper.keep()
    tokens = first.serve_all(2)
    ids = {id_of(token) for token in tokens}
    assert await first.spend(tokens + tokens) == ids
    assert await second.spend(tokens) == ids
    assert await counted(database, campaign) == 2
    await overdue(database)
    await second.keeper.keep()
    assert await first.spend(tokens) == ids, "after the lease was closed"
    assert await second.spend(tokens, in_time=False) == ids, "after its time to be shown"
    assert await counted(database, campaign) == 2


async def test_what_comes_too_late_spends_nothing(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    process = start(campaign)
    await process.keeper.keep()
    tokens = process.serve_all(2)
    assert await process.spend(tokens[:1], in_time=False) == set()
    assert await counted(database, campaign) == 0
    assert await process.spend(tokens) == {id_of(token) for token in tokens}


async def test_a_unit_is_of_its_campaign_only(database: Database, start: Start) -> None:
    campaign, other = await hard_campaign(database, total=10), await hard_campaign(database, total=10)
    process = start(campaign)
    await process.keeper.keep()
    token = process.serve()
    stolen = token.__class__(token.impression_id, "ani", other, "a", token.show_by, token.reserved)
    assert await process.spend([stolen]) == set()
    assert await counted(database, campaign) == await counted(database, other) == 0


async def test_a_lease_never_spends_more_units_than_it_has(database: Database, start: Start) -> None:
    """As after a failover that has lost a grant: two processes serve popups with one lease."""
    campaign = await hard_campaign(database, total=10)
    process = start(campaign)
    await process.keeper.keep()
    tokens = process.serve_all(4)
    primary = await database.primary()
    await primary.execute("UPDATE budget_leases SET units = 3")
    assert len(await process.spend(tokens)) == 3
    assert await counted(database, campaign) == 3
    assert len(await process.spend(tokens)) == 3, "the same three"


async def test_leases_that_the_primary_does_not_know_are_served_from_no_more(
    database: Database, start: Start
) -> None:
    """As after a failover that has lost the grant."""
    campaign = await hard_campaign(database, total=10)
    process = start(campaign, max_units=4)
    await process.keeper.keep()
    primary = await database.primary()
    await primary.execute("DELETE FROM budget_leases")
    tokens = process.serve_all(2)
    await process.keeper.keep()
    assert process.keeper.held == 1
    assert await process.spend(tokens) == set()
    (lease,) = process.stock.leases
    assert lease.id == await primary.fetchval("SELECT id FROM budget_leases")


async def test_trouble_with_one_campaign_is_not_the_others(database: Database, start: Start) -> None:
    campaign, spoilt = await hard_campaign(database, total=10), await hard_campaign(database, total=10)
    primary = await database.primary()
    await primary.execute(
        """UPDATE campaigns SET budget = budget || '{"total":"many"}' WHERE id = $1""", spoilt
    )
    process, other = start(campaign), start(spoilt)
    process.catalog.budgeted = (*other.catalog.budgeted, *process.catalog.budgeted)
    await process.keeper.keep()
    assert process.has_room()
    assert not other.has_room()


# Changes of the campaign.


async def test_a_lowered_limit_holds_for_new_leases(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=100)
    process = start(campaign, max_units=20)
    await process.keeper.keep()
    tokens = process.serve_all()
    primary = await database.primary()
    await primary.execute("UPDATE campaigns SET budget = jsonb_set(budget, '{total}', '15')")
    await process.keeper.keep()
    assert not process.has_room()
    assert len(await process.spend(tokens)) == 20, "the units that were leased before are good"
    assert await everything(start(campaign)) == 0


@pytest.mark.parametrize("change", ["status = 'paused'", "version = version + 1", "budget = NULL"])
async def test_nothing_is_leased_for_a_campaign_that_has_changed(
    database: Database, start: Start, change: str
) -> None:
    """Whoever has not heard of the change may have the wrong limits, or the wrong days."""
    campaign = await hard_campaign(database, total=100)
    process = start(campaign)
    primary = await database.primary()
    await primary.execute(f"UPDATE campaigns SET {change}")
    await process.keeper.keep()
    assert not process.has_room()


async def test_a_campaign_that_is_live_no_more_gives_its_units_back(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    first = start(campaign, max_units=10)
    await first.keeper.keep()
    first.catalog = first.catalog.replaced_by(Stored(2, [], [], [campaign]))
    await first.keeper.keep()
    assert first.keeper.held == 0
    assert await everything(start(campaign, max_units=10)) == 10
    await first.keeper.keep()
    assert first.keeper._holdings == {}


async def impressions(database: Database, campaign: int, count: int) -> None:
    """Counted as any others are, without a unit."""
    instance = await (await database.primary()).fetchval("SELECT 1 + count(*) FROM buffer_watermarks")
    now = datetime.now(UTC)
    events = [Event(f"user {n}", campaign, occurred_at=now) for n in range(count)]
    await buffer(await database.primary(), events, instance=instance)
    await database.merge()


async def test_what_was_shown_before_a_budget_became_hard_counts(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    primary = await database.primary()
    await primary.execute("""UPDATE campaigns SET budget = budget || '{"hard":false}'""")
    await impressions(database, campaign, 4)
    await primary.execute("""UPDATE campaigns SET budget = budget || '{"hard":true}'""")
    process = start(campaign)
    await process.keeper.keep()
    assert not process.has_room(), "no merge since: something may still be under way"
    await impressions(database, campaign, 2)
    assert await everything(process) == 4
    assert await counted(database, campaign) == 10


async def test_it_takes_a_while_until_every_process_knows(database: Database) -> None:
    campaign = await hard_campaign(database, total=10)
    primary = await database.primary()
    await primary.execute("UPDATE budget_accounts SET hard_since = clock_timestamp()")
    await impressions(database, campaign, 1)
    opened = [await _opened(database, campaign, settling) for settling in (timedelta(hours=1), timedelta(0))]
    assert opened == [False, True]


async def _opened(database: Database, campaign: int, settling: timedelta) -> bool:
    primary = await database.primary()
    await primary.execute("SELECT open_budget_account($1, $2)", campaign, settling)
    return bool(await primary.fetchval("SELECT opened FROM budget_accounts"))


async def test_from_hard_to_soft_and_back_counts_everything_once(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=10)
    first, second = start(campaign), start(campaign)
    await first.keeper.keep()
    await first.spend(first.serve_all(2))
    await overdue(database)
    await second.keeper.keep()  # closes the first's lease
    await second.spend(second.serve_all(1))
    (out,) = second.serve_all(1)
    assert await counted(database, campaign) == 3
    await impressions(database, campaign, 3)  # what was spent is merged
    primary = await database.primary()
    await primary.execute("""UPDATE campaigns SET budget = budget || '{"hard":false}'""")
    assert await counted(database, campaign) == 0
    await second.ask()
    assert not second.has_room()
    await primary.execute("""UPDATE campaigns SET budget = budget || '{"hard":true}'""")
    await impressions(database, campaign, 1)
    assert await first.spend([out]) == set(), "a unit ends with its budget"
    assert await everything(start(campaign)) == 6
    assert await counted(database, campaign) == 10


async def test_the_day_is_the_campaigns(database: Database, start: Start) -> None:
    """Not the database's. It stays spent when its leases are closed."""
    campaign = await hard_campaign(database, per_day=5)
    zone, other = "Pacific/Kiritimati", "Pacific/Pago_Pago"  # UTC+14 and UTC-11: never the same day
    assert await everything(start(campaign, timezone=zone, per_day=5)) == 5
    assert await everything(start(campaign, timezone=zone, per_day=5)) == 0
    await overdue(database)
    assert await everything(start(campaign, timezone=zone, per_day=5)) == 0
    assert await everything(start(campaign, timezone=other, per_day=5)) == 5


# Clocks.


async def test_each_day_has_its_budget_however_wrong_the_clocks_are(database: Database, start: Start) -> None:
    """Three processes around midnight: what each calls today may be another day, and has its limit."""
    campaign = await hard_campaign(database, per_day=20, total=1_000)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    to_midnight = (midnight - now).total_seconds()
    skews = (to_midnight - 3600, to_midnight - 1800, to_midnight + 3600)
    processes = [start(campaign, skew_seconds=skew, per_day=20) for skew in skews]
    assert await everything(*processes) == 40
    assert await spent_on(database, campaign, now.date()) == 20
    assert await spent_on(database, campaign, midnight.date()) == 20


async def test_at_midnight_the_day_before_ends_in_every_way(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, per_day=20)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    process = start(campaign, skew_seconds=(midnight - now).total_seconds() - 600, per_day=20)
    await process.keeper.keep()
    token = process.serve()
    assert datetime.fromtimestamp(token.show_by, UTC).date() == now.date()
    process.skew_seconds += 1200
    assert not process.has_room()
    await process.keeper.keep()
    assert process.has_room()
    units = "SELECT units FROM budget_leases WHERE day = $1"
    assert await (await database.primary()).fetchval(units, now.date()) == 1, "the others went back"
    assert datetime.fromtimestamp(process.serve().show_by, UTC).date() == midnight.date()
    assert await process.spend([token]), "a lease is closed by the database's clock, not by this one"
    assert await spent_on(database, campaign, now.date()) == 1


async def test_a_clock_that_jumps_makes_no_units(database: Database, start: Start) -> None:
    campaign = await hard_campaign(database, total=30)
    processes = [start(campaign, max_units=4) for _ in range(3)]
    accepted = 0
    for skew in (3600.0, -3600.0, 0.0, 7200.0):
        for process in processes:
            process.skew_seconds = skew
        await asyncio.gather(*(process.keeper.keep() for process in processes))
        for process in processes:
            accepted += len(await process.spend(process.serve_all(3)))
    accepted += await everything(*processes)
    assert accepted == 30
    assert await counted(database, campaign) == 30
