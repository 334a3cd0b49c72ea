"""Any interleaving of serving, confirming, closing, giving back and killing, on a real primary.

Never more impressions than the budget; and once all that was served and lost has come back, the rest
of the budget can be delivered to the last unit.
"""

import asyncio
from collections import Counter
from typing import Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.tokens import PopupToken
from tests.support.budgets import Process, counted, hard_campaign, overdue
from tests.support.database import Database

TOTAL: Final = 12
PROCESSES: Final = 3
ACTIONS: Final = ("ask", "serve", "spend", "resend", "close", "give back", "kill", "both ask", "all at once")
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, PROCESSES - 1), st.integers(1, 6)), max_size=40
)


class World:
    """What the phones and the operator of some processes do, and what they were told."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self.accepted: set[UUID] = set()
        self._database = database
        self._campaign_id = campaign_id
        self._processes = [self._new_process() for _ in range(PROCESSES)]
        self._served: list[PopupToken] = []
        self._confirmed: list[PopupToken] = []

    def _new_process(self) -> Process:
        return Process(self._database, self._campaign_id, max_units=5)

    async def step(self, action: str, number: int, amount: int) -> None:
        process = self._processes[number]
        match action:
            case "ask":
                await process.ask()
            case "both ask":
                await asyncio.gather(*(each.ask() for each in self._processes))
            case "serve":
                self._served += process.serve_all(amount)
            case "spend":
                await self._confirm(process, self._take(amount))
            case "resend":
                await self._confirm(process, self._confirmed[-amount:])
            case "close":
                await overdue(self._database)
            case "give back":
                await process.keeper.give_back()
            case "kill":
                await process.close()
                self._processes[number] = self._new_process()
            case "all at once":
                tokens = self._take(amount)
                work = [self._confirm(each, tokens) for each in self._processes]
                await asyncio.gather(*work, *(each.ask() for each in self._processes))

    async def drain(self) -> None:
        """Deliver what is left, after the last confirmations of what is out have not come."""
        for process in self._processes:
            await process.keeper.give_back()
        await overdue(self._database)
        while True:
            await self._processes[0].ask()
            tokens = self._processes[0].serve_all()
            if not tokens:
                return
            await self._confirm(self._processes[0], tokens)

    async def close(self) -> None:
        for process in self._processes:
            await process.close()

    def _take(self, amount: int) -> list[PopupToken]:
        taken, self._served = self._served[:amount], self._served[amount:]
        return taken

    async def _confirm(self, process: Process, tokens: list[PopupToken]) -> None:
        if tokens:
            self.accepted |= await process.spend(tokens)
            self._confirmed += tokens


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_the_limit_holds_and_is_reached(database: Database, steps: list[tuple[str, int, int]]) -> None:
    campaign = await hard_campaign(database, total=TOTAL)
    world = World(database, campaign)
    try:
        for action, number, amount in steps:
            await world.step(action, number, amount)
            assert len(world.accepted) == await counted(database, campaign) <= TOTAL, Counter(steps)
        await world.drain()
        assert len(world.accepted) == await counted(database, campaign) == TOTAL
    finally:
        await world.close()
