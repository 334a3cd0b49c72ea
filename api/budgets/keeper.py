"""Keeps each hard campaign supplied with units, before popups need them.

Serving never waits for it: a campaign without units is left out until there are some.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from api.background import signalled
from api.budgets.holding import Holding
from api.budgets.ledger import Answer, Ledger, Wish
from api.budgets.session import Session
from api.campaigns.budget import Stock
from api.campaigns.catalog import Catalog
from api.campaigns.live import LiveCampaign
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.budgets")

_LOOK_SECONDS: Final = 0.25
#: Where nothing was left, units may have come back by then.
_ASK_AGAIN_SECONDS: Final = 1.0


@dataclass
class KeeperStats:
    leases: int = 0
    units: int = 0


class LeaseKeeper:
    """`run()` is one task, with one connection to the primary; `stop()` ends it.

    A lease is served from for `lease_seconds`, and open for `open_seconds`: until then its popups can
    be confirmed, and the units of a process that has died are locked.
    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        catalog: Callable[[], Catalog],
        *,
        lease_seconds: float,
        grace_seconds: float,
        open_seconds: float,
        max_units: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stats = KeeperStats()
        self._session = session
        self._ledger = ledger
        self._catalog = catalog
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._open_for = timedelta(seconds=open_seconds)
        self._max_units = max_units
        self._clock = clock
        self._holdings: dict[int, Holding] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; after `stop()` it ends by itself."""
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                try:
                    await self.keep()
                    await signalled(self._wake, _LOOK_SECONDS)
                except ConnectionFailedError as error:
                    log.warning("budgets: no units can be had: %s", error)
                    await signalled(self._stopping, _ASK_AGAIN_SECONDS)
            await self.give_back()
        finally:
            self._session.close()
            self._ended.set()

    async def stop(self, *, seconds: float) -> None:
        """Give everything back that no popup was served for; what can't be told comes back by itself."""
        self._stopping.set()
        self._wake.set()
        await signalled(self._ended, seconds)

    async def give_back(self) -> None:
        """End all leases."""
        for holding in self._holdings.values():
            holding.end_all()
        try:
            for holding in self._holdings.values():
                if holding.given_back:
                    await self._settle(holding, None)
        except ConnectionFailedError as error:
            log.warning("budgets: units come back when their leases are closed: %s", error)

    @property
    def held(self) -> int:
        """Leases that popups are served with."""
        return sum(len(holding.stock.leases) for holding in self._holdings.values())

    async def keep(self) -> None:
        """One round over the campaigns. Raises ConnectionFailedError."""
        now_us = int(self._clock() * 1_000_000)
        wanted = {
            campaign.id: campaign for campaign in self._catalog().budgeted if _needs_leases(campaign, now_us)
        }
        self._end_unwanted(wanted)
        for campaign_id, campaign in wanted.items():
            if campaign_id not in self._holdings:
                self._holdings[campaign_id] = self._new_holding(campaign)
        for holding in list(self._holdings.values()):
            holding.end_past_days(now_us)
            try:
                await self._keep_one(holding, wanted.get(holding.campaign_id), now_us)
            except ConnectionFailedError as error:
                if error.sqlstate is None:
                    raise
                # The primary has refused: that may be this campaign's trouble alone.
                holding.ask_at = asyncio.get_running_loop().time() + _ASK_AGAIN_SECONDS
                log.warning("budgets: no units for campaign %d: %s", holding.campaign_id, error)

    async def _keep_one(self, holding: Holding, campaign: LiveCampaign | None, now_us: int) -> None:
        if campaign is not None and holding.needs_units(now_us, asyncio.get_running_loop().time()):
            await self._supply(holding, campaign, now_us)
        elif holding.given_back:
            await self._settle(holding, None)

    def _end_unwanted(self, wanted: dict[int, LiveCampaign]) -> None:
        """A changed campaign has a new stock: what was leased for the old one goes back."""
        for campaign_id, holding in list(self._holdings.items()):
            campaign = wanted.get(campaign_id)
            if campaign is None or campaign.budget is not holding.stock:
                holding.end_all()
                if campaign is not None:
                    self._holdings[campaign_id] = fresh = self._new_holding(campaign)
                    fresh.given_back = holding.given_back
                elif not holding.given_back:
                    del self._holdings[campaign_id]

    def _new_holding(self, campaign: LiveCampaign) -> Holding:
        assert isinstance(campaign.budget, Stock)
        campaign.budget.on_low = self._wake.set
        return Holding(campaign.id, campaign.budget, lease_seconds=self._lease_seconds)

    async def _supply(self, holding: Holding, campaign: LiveCampaign, now_us: int) -> None:
        asked_at = asyncio.get_running_loop().time()
        day = holding.stock.day_at(now_us)
        answer = await self._settle(
            holding, Wish(campaign.version, day.date, self._max_units, self._open_for)
        )
        if answer.granted is None:
            holding.ask_at = asked_at + _ASK_AGAIN_SECONDS
            return
        # The grace makes up for a slow answer, up to its length.
        from_ = min(asyncio.get_running_loop().time(), asked_at + self._grace_seconds)
        holding.add(answer.granted, day, ends_at=from_ + self._lease_seconds)
        self.stats.leases += 1
        self.stats.units += answer.granted.units

    async def _settle(self, holding: Holding, wish: Wish | None) -> Answer:
        """What is given back here is told again if the answer is lost: that does no harm."""
        telling = list(holding.given_back)
        answer = await self._session.run(
            lambda connection: self._ledger.settle(connection, holding.campaign_id, telling, wish)
        )
        del holding.given_back[: len(telling)]
        if dropped := holding.drop_unknown(answer.known):
            log.warning(
                "budgets: the primary does not know %d leases of campaign %d", dropped, holding.campaign_id
            )
        return answer


def _needs_leases(campaign: LiveCampaign, now_us: int) -> bool:
    return isinstance(campaign.budget, Stock) and campaign.active(now_us)
