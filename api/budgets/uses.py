"""Spending units: one round trip to the primary in flight, and whatever arrives meanwhile shares the next."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.budgets.ledger import Use, spend
from api.budgets.session import Session
from buffer.connection import ConnectionFailedError

log = logging.getLogger("tayang.budgets")

_RETRY_SECONDS: Final = 0.05
_CHECK_VIOLATION: Final = "23514"

Spent = set[UUID]
_Waiting = tuple[Sequence[Use], "asyncio.Future[Spent]"]


class UsesUnavailableError(Exception):
    """Whether units are spent can't be told now: the primary is away or slow, or too many ask."""


@dataclass
class UseStats:
    spent: int = 0
    refused: int = 0
    round_trips: int = 0


class UseQueue:
    """`run()` is one task, with one connection to the primary."""

    def __init__(self, session: Session, *, max_uses: int, batch_max_uses: int) -> None:
        self.stats = UseStats()
        self._session = session
        self._max_uses = max_uses
        self._batch_max_uses = batch_max_uses
        self._queue: deque[_Waiting] = deque()
        self._queued_uses = 0
        self._wake = asyncio.Event()

    async def spend(self, uses: Sequence[Use], *, deadline: float) -> Spent:
        """The impressions of `uses` that may count; `deadline` is of the loop's clock.

        Raises UsesUnavailableError. A unit may have been spent all the same, so that the client's
        resend finds it.
        """
        if self._queued_uses + len(uses) > self._max_uses:
            raise UsesUnavailableError("too many impressions wait to be checked")
        future: asyncio.Future[Spent] = asyncio.get_running_loop().create_future()
        self._queue.append((uses, future))
        self._queued_uses += len(uses)
        self._wake.set()
        try:
            async with asyncio.timeout_at(deadline):
                spent = await future
        except TimeoutError as error:
            raise UsesUnavailableError("the primary did not answer in time") from error
        self.stats.spent += len(spent)
        self.stats.refused += len(uses) - len(spent)
        return spent

    async def run(self) -> None:
        """Answer batch after batch, until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._next_batch():
                    if not await self._answer(batch):
                        await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._session.close()

    def _next_batch(self) -> list[_Waiting]:
        """Whole requests, the oldest first; those that have given up are left out."""
        batch: list[_Waiting] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0][0]) <= self._batch_max_uses):
            uses, future = self._queue.popleft()
            self._queued_uses -= len(uses)
            if not future.done():
                batch.append((uses, future))
                size += len(uses)
        return batch

    async def _answer(self, batch: list[_Waiting]) -> bool:
        """Returns whether the primary has answered."""
        try:
            spent = await self._spend([use for uses, _ in batch for use in uses])
        except Exception as error:  # whatever it is, the requests of this batch must end
            if isinstance(error, ConnectionFailedError):
                log.warning("budgets: units can't be spent: %s", error)
            else:
                log.exception("budgets: units can't be spent")
            for _, future in batch:
                if not future.done():
                    future.set_exception(UsesUnavailableError(str(error)))
            return False
        for uses, future in batch:
            if not future.done():
                future.set_result({use.impression_id for use in uses if use.impression_id in spent})
        return True

    async def _spend(self, uses: Sequence[Use]) -> Spent:
        self.stats.round_trips += 1
        try:
            return await self._session.run(lambda connection: spend(connection, uses))
        except ConnectionFailedError as error:
            if error.sqlstate != _CHECK_VIOLATION:
                raise
        # One of them goes beyond its lease, and only that one is refused.
        if len(uses) == 1:
            log.error("budgets: lease %d has fewer units than popups", uses[0].lease_id)
            return set()
        half = len(uses) // 2
        return await self._spend(uses[:half]) | await self._spend(uses[half:])
