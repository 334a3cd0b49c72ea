"""Tells soft budgets what is merged, several times a second, from the server that popups are read from."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from api.budgets.session import statement
from api.campaigns.budget import SoftBudget
from api.read.reader import Reader
from api.read.server import Server
from buffer.connection import ConnectionFailedError
from buffer.pending import PendingList

log = logging.getLogger("tayang.budgets")

_SPENT: Final = statement("spent")
#: Days that are read each time. An impression that was offline for longer is seen when all are read again.
_LATEST: Final = timedelta(days=3)
_ALL_AGAIN_SECONDS: Final = 60.0
_BEGINNING: Final = date(1970, 1, 1)
_END: Final = date(9999, 12, 31)

Days = Mapping[int, Mapping[date, int]]


class SoftPoller:
    """`run()` is one task. `processes` tells how many serve popups, this one among them."""

    def __init__(
        self,
        reader: Reader,
        pending: PendingList,
        *,
        processes: Callable[[], int],
        poll_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._pending = pending
        self._processes = processes
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._older: dict[int, int] = {}
        self._latest_from = _BEGINNING
        self._all_read_at = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(self._poll_seconds)

    async def poll(self) -> None:
        """Read once. With no server in reach, what was known stays, and this process's own goes on."""
        budgets = {
            campaign.id: campaign.budget
            for campaign in self._reader.catalog.budgeted
            if isinstance(campaign.budget, SoftBudget)
        }
        if not budgets:
            return
        for server in self._reader.servers:
            if not self._reader.in_use(server):
                continue
            try:
                if await self._read(server, budgets):
                    return
            except ConnectionFailedError as error:
                log.warning("budgets: %s: %s", server.name, error)

    async def _read(self, server: Server, budgets: Mapping[int, SoftBudget]) -> bool:
        """False if the server lacks what another one has shown: the next one is ahead of it."""
        campaigns = list(budgets)
        await self._read_older(server, campaigns)
        watermark, latest = await self._days(server, campaigns, self._latest_from, _END)
        if watermark < self._pending.forgotten_through and server is not self._reader.servers[-1]:
            return False
        for campaign_id, budget in budgets.items():
            by_day = latest.get(campaign_id, {})
            total = self._older.get(campaign_id, 0) + sum(by_day.values())
            budget.update(total=total, by_day=by_day, watermark=watermark, processes=self._processes())
        return True

    async def _read_older(self, server: Server, campaigns: Sequence[int]) -> None:
        """The days before the latest ones: once a minute, and when a campaign is new."""
        now = self._clock()
        latest_from = datetime.fromtimestamp(now, UTC).date() - _LATEST
        known = latest_from == self._latest_from and self._older.keys() >= set(campaigns)
        if known and abs(now - self._all_read_at) < _ALL_AGAIN_SECONDS:
            return
        _, older = await self._days(server, campaigns, _BEGINNING, latest_from)
        self._older = {campaign_id: sum(older.get(campaign_id, {}).values()) for campaign_id in campaigns}
        self._latest_from = latest_from
        self._all_read_at = now

    async def _days(
        self, server: Server, campaigns: Sequence[int], first: date, end: date
    ) -> tuple[int, Days]:
        rows = await server.fetch(_SPENT, self._pending.instance, campaigns, first, end)
        days: defaultdict[int, dict[date, int]] = defaultdict(dict)
        for row in rows:
            if row["campaign_id"] is not None:
                days[row["campaign_id"]][row["day"]] = row["events"]
        return rows[0]["watermark"], days
