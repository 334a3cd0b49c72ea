"""Hard budgets: two that hand out units at once, and a use beside the closing of its lease.

The guards: whoever hands out units holds the account's lock; a use holds its lease's lock until commit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import pytest

from api.budgets.ledger import GivenBack, Ledger, Use, Wish, spend
from api.tokens import TokenSigner
from tests.support.budgets import counted, hard_campaign, use_of
from tests.support.buffered import waits
from tests.support.database import Database
from tests.support.service import TOKEN_SECRET
from tests.support.waiting import until

TODAY: Final = datetime.now(UTC).date()
HOUR: Final = timedelta(hours=1)
CLOSE: Final = "SELECT close_budget_leases($1)"
SIGNER: Final = TokenSigner((TOKEN_SECRET,))


@dataclass(frozen=True)
class Session:
    """One process's connection, with its ledger."""

    connection: asyncpg.Connection
    ledger: Ledger

    async def lease(self, campaign: int, units: int, *, open_for: timedelta = HOUR) -> int:
        """Returns the lease; 0 if nothing is left."""
        wish = Wish(1, TODAY, units, open_for)
        granted = (await self.ledger.settle(self.connection, campaign, (), wish)).granted
        return 0 if granted is None else granted.lease_id

    async def waiting(self, watcher: asyncpg.Connection) -> None:
        """Return when the connection waits for a lock."""
        pid = self.connection.get_server_pid()
        await until(lambda: waits(watcher, pid), "it waits for a lock")


@pytest.fixture(name="sessions")
async def sessions_fixture(database: Database) -> AsyncIterator[list[Session]]:
    async with AsyncExitStack() as stack:
        sessions = []
        for instance in (1, 2, 3):
            connection = await asyncpg.connect(database.primary_dsn)
            stack.push_async_callback(connection.close)
            sessions.append(Session(connection, Ledger(instance, timedelta(0))))
        yield sessions


async def leased(database: Database) -> int:
    return int(await (await database.primary()).fetchval("SELECT sum(units) FROM budget_leases"))


def popup(campaign: int, lease: int, number: int = 0) -> Use:
    """That a popup was shown which was served with a unit of the lease."""
    signed = SIGNER.sign(b"ani", campaign, b"a", now_ms=1, show_by=1, unit=(lease, number))
    return use_of(SIGNER.verify(signed.decode()))


# Several at once.


async def test_without_the_guard_three_at_once_are_handed_more_than_there_is(
    database: Database, sessions: list[Session]
) -> None:
    """Each gets half of what is left, as it sees it."""
    campaign = await hard_campaign(database, total=10)
    primary = await database.primary()
    await primary.execute("UPDATE budget_accounts SET opened = true")
    await without_the_guard(primary)
    async with AsyncExitStack() as stack:
        for session in sessions:
            await stack.enter_async_context(session.connection.transaction())
            await session.lease(campaign, 8)
    assert await leased(database) == 15, "of ten"


async def without_the_guard(connection: asyncpg.Connection) -> None:
    """The account is looked at, and not locked."""
    definition = await connection.fetchval("SELECT pg_get_functiondef('settle_budget'::regproc)")
    assert definition.count("FOR UPDATE") == 1
    await connection.execute(definition.replace("FOR UPDATE", ""))


async def test_with_the_guard_the_second_waits_and_gets_what_is_left(
    database: Database, sessions: list[Session]
) -> None:
    campaign = await hard_campaign(database, total=10)
    first, second, _ = sessions
    async with first.connection.transaction():
        await first.lease(campaign, 8)
        task = asyncio.create_task(second.lease(campaign, 8))
        await second.waiting(await database.primary())
    await task
    assert await leased(database) == 5 + 2


# A use and a close.


async def test_closing_does_not_wait_for_a_use_and_takes_the_lease_another_time(
    database: Database, sessions: list[Session]
) -> None:
    campaign = await hard_campaign(database, total=4)
    first, second, third = sessions
    lease = await first.lease(campaign, 2, open_for=timedelta(0))
    async with first.connection.transaction():
        await spend(first.connection, [popup(campaign, lease)])
        await second.connection.execute(CLOSE, campaign)  # returns: it does not wait
    assert await counted(database, campaign) == 1
    await third.connection.execute(CLOSE, campaign)
    assert await counted(database, campaign) == 1
    assert await (await database.primary()).fetchval("SELECT count(*) FROM budget_leases") == 0


async def test_a_use_that_waits_for_the_closing_of_its_lease_is_refused(
    database: Database, sessions: list[Session]
) -> None:
    campaign = await hard_campaign(database, total=4)
    first, second, _ = sessions
    lease = await first.lease(campaign, 2, open_for=timedelta(0))
    async with second.connection.transaction():
        await second.connection.execute(CLOSE, campaign)
        task = asyncio.create_task(spend(first.connection, [popup(campaign, lease)]))
        await first.waiting(await database.primary())
    assert await task == set()
    assert await counted(database, campaign) == 0


async def test_a_resend_that_waits_for_the_closing_finds_what_was_spent(
    database: Database, sessions: list[Session]
) -> None:
    """Its first look was before the first send was committed, and its lease is gone when it gets its turn."""
    campaign = await hard_campaign(database, total=4)
    first, second, third = sessions
    lease = await first.lease(campaign, 2)
    use = popup(campaign, lease)
    async with first.connection.transaction():
        assert await spend(first.connection, [use]) == {use.impression_id}
        resend = asyncio.create_task(spend(third.connection, [use]))
        await third.waiting(await database.primary())
        # Whoever comes first of those that wait: the lease goes with the commit.
        await first.connection.execute("DELETE FROM budget_leases")
    assert await resend == {use.impression_id}
    del second


async def test_the_same_impression_at_two_processes_spends_one_unit(
    database: Database, sessions: list[Session]
) -> None:
    campaign = await hard_campaign(database, total=4)
    first, second, _ = sessions
    lease = await first.lease(campaign, 2)
    uses = [popup(campaign, lease, number) for number in (0, 1)]
    async with first.connection.transaction():
        await spend(first.connection, uses[:1])
        task = asyncio.create_task(spend(second.connection, uses))
        await second.waiting(await database.primary())
    assert await task == {use.impression_id for use in uses}
    assert await counted(database, campaign) == 2


async def test_units_are_given_back_beside_a_use(database: Database, sessions: list[Session]) -> None:
    campaign = await hard_campaign(database, total=8)
    first, second, _ = sessions
    lease = await first.lease(campaign, 4)
    async with second.connection.transaction():
        await spend(second.connection, [popup(campaign, lease, number) for number in (0, 1)])
        told = [GivenBack(lease, 2)]
        task = asyncio.create_task(first.ledger.settle(first.connection, campaign, told, None))
        await first.waiting(await database.primary())
    await task
    assert await leased(database) == 2


async def test_many_uses_of_many_leases_at_once(database: Database, sessions: list[Session]) -> None:
    """Each asks for all leases, in another order: they are locked in one order, so none is a deadlock."""
    campaign = await hard_campaign(database, total=1_000)
    leases = [await sessions[n % 3].lease(campaign, 12) for n in range(12)]
    uses = [popup(campaign, lease, number) for number in range(12) for lease in leases]
    shares = [uses[0::3], uses[1::3][::-1], uses[2::3]]
    spent = await asyncio.gather(
        *(_in_pieces(session.connection, share) for session, share in zip(sessions, shares, strict=True))
    )
    assert sum(spent) == len(uses) == await counted(database, campaign)


async def _in_pieces(connection: asyncpg.Connection, uses: list[Use]) -> int:
    return sum([len(await spend(connection, uses[at : at + 7])) for at in range(0, len(uses), 7)])
