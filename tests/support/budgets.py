"""Hard budgets in tests: a campaign on the primary, a process's keeper of leases, and what is spent."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from api.budgets.keeper import LeaseKeeper
from api.budgets.ledger import Ledger, Use
from api.budgets.session import Session
from api.budgets.uses import UseQueue
from api.campaigns.budget import Stock
from api.campaigns.model import Campaign
from api.tokens import PopupToken, TokenSigner
from tests.support.campaigns import document
from tests.support.database import Database
from tests.support.engine import catalog_of
from tests.support.service import TOKEN_SECRET

_SIGNER = TokenSigner((TOKEN_SECRET,))


async def hard_campaign(database: Database, **limits: int) -> int:
    """A live campaign in UTC with a hard budget; its id."""
    primary = await database.primary()
    return int(
        await primary.fetchval(
            "INSERT INTO campaigns (key, name, status, priority, placement, timezone, schedule, audience,"
            " caps, variants, budget) VALUES ('c' || random(), 'C', 'live', 1, 'home', 'UTC', '[]',"
            """ 'everyone', '[]', '[{"key":"a","weight":1,"content":{}}]', $1) RETURNING id""",
            json.dumps({"total": None, "per_day": None, "pacing": "asap", "hard": True} | limits),
        )
    )


async def counted(database: Database, campaign_id: int) -> int:
    """Units that are spent: by open leases, by closed ones, and before."""
    primary = await database.primary()
    return int(
        await primary.fetchval(
            "SELECT coalesce((SELECT sum(used) FROM budget_leases WHERE campaign_id = $1), 0)"
            " + coalesce((SELECT sum(units) FROM budget_spent WHERE campaign_id = $1), 0)",
            campaign_id,
        )
    )


async def overdue(database: Database, *, by: timedelta = timedelta(0)) -> None:
    """Every lease may be closed: as if the time for it had come."""
    primary = await database.primary()
    await primary.execute("UPDATE budget_leases SET close_at = clock_timestamp() - $1::interval", by)


class Process:
    """What an api process has for hard budgets, without HTTP. `skew_seconds` is its clock's error."""

    def __init__(
        self,
        database: Database,
        campaign_id: int,
        *,
        instance: int | None = None,
        skew_seconds: float = 0.0,
        lease_seconds: float = 60.0,
        open_seconds: float = 600.0,
        max_units: int = 10,
        timezone: str = "UTC",
        **limits: int,
    ) -> None:
        self.campaign_id = campaign_id
        self.skew_seconds = skew_seconds
        stored = _stored(campaign_id, timezone=timezone, limits=limits or {"total": 1})
        self.catalog = catalog_of([stored], hard_budget_ids=[campaign_id])
        self.session = Session(lambda: asyncpg.connect(database.primary_dsn), timeout_seconds=10)
        self.keeper = LeaseKeeper(
            self.session,
            Ledger(instance or random.getrandbits(62), timedelta(0)),
            lambda: self.catalog,
            lease_seconds=lease_seconds,
            grace_seconds=5.0,
            open_seconds=open_seconds,
            max_units=max_units,
            clock=self.clock,
        )
        self.uses = UseQueue(
            Session(lambda: asyncpg.connect(database.primary_dsn), timeout_seconds=10),
            max_uses=10_000,
            batch_max_uses=1_000,
        )
        self._running = asyncio.create_task(self.uses.run())

    @property
    def stock(self) -> Stock:
        stock = self.catalog.campaigns[self.campaign_id].budget
        assert isinstance(stock, Stock)
        return stock

    def clock(self) -> float:
        return time.time() + self.skew_seconds

    def now_us(self) -> int:
        return int(self.clock() * 1_000_000)

    def has_room(self) -> bool:
        return self.stock.has_room(self.now_us())

    def serve(self) -> PopupToken:
        """The token of a popup; only if there is room."""
        now_us = self.now_us()
        reserved = self.stock.reserve(now_us)
        signed = _SIGNER.sign(
            b"ani",
            self.campaign_id,
            b"a",
            now_ms=now_us // 1000,
            show_by=min(now_us + 600_000_000, reserved.end_us) // 1_000_000 - 1,
            unit=(reserved.lease_id, reserved.number),
        )
        return _SIGNER.verify(signed.decode())

    def serve_all(self, limit: int = 1_000_000) -> list[PopupToken]:
        tokens: list[PopupToken] = []
        while self.has_room() and len(tokens) < limit:
            tokens.append(self.serve())
        return tokens

    async def ask(self) -> None:
        """Keep the leases, without the pause after an answer that nothing was left."""
        for holding in self.keeper._holdings.values():
            holding.ask_at = 0.0
        await self.keeper.keep()

    async def spend(self, tokens: Sequence[PopupToken], *, in_time: bool = True) -> set[UUID]:
        uses = [use_of(token, in_time=in_time) for token in tokens]
        return await self.uses.spend(uses, deadline=asyncio.get_running_loop().time() + 10)

    async def close(self) -> None:
        """Without giving anything back: it may as well have been killed."""
        self._running.cancel()
        await asyncio.wait((self._running,))
        for holding in self.keeper._holdings.values():
            for timer in holding._ends.values():
                timer.cancel()
        self.session.close()


def use_of(token: PopupToken, *, in_time: bool = True) -> Use:
    return Use(UUID(bytes=token.impression_id), token.lease_id, token.campaign_id, in_time)


def id_of(token: PopupToken) -> UUID:
    return UUID(bytes=token.impression_id)


async def spent_on(database: Database, campaign_id: int, day: date) -> int:
    """As `counted`, of one day."""
    primary = await database.primary()
    return int(
        await primary.fetchval(
            "SELECT coalesce((SELECT sum(used) FROM budget_leases WHERE campaign_id = $1 AND day = $2), 0)"
            " + coalesce((SELECT sum(units) FROM budget_spent WHERE campaign_id = $1 AND day = $2), 0)",
            campaign_id,
            day,
        )
    )


def _stored(campaign_id: int, *, timezone: str, limits: dict[str, Any]) -> Campaign:
    return Campaign.model_validate(document(campaign_id, timezone=timezone, budget={"hard": True} | limits))
