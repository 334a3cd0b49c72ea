"""Many phones at once, each with its own connection, that ask for popups and confirm them, or never do."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.adversity.drills.http import Wire, get_popups, post_impressions

#: A phone that got no popup asks again after so long.
PAUSE_SECONDS: Final = 1.0


@dataclass
class Tally:
    """What all phones together were told."""

    accepted: int = 0
    served: int = 0
    kept_back: int = 0  # served to a phone that never confirms
    statuses: Counter[int] = field(default_factory=Counter)  # of confirmations
    last_served_at: float = math.inf


class Phone:
    """`jwt` is its user's. Raises OSError, TimeoutError or EOFError when the service fails it."""

    def __init__(self, address: tuple[str, int], jwt: str, placement: str) -> None:
        self._address = address
        self._jwt = jwt.encode()
        self._get = get_popups(self._jwt, f"placement={placement}".encode())

    async def use(self, tally: Tally, *, confirms: bool, done: Callable[[], bool]) -> None:
        """Ask, show, confirm (or not), until `done`."""
        wire = await Wire.open(*self._address)
        try:
            while not done():
                tokens = await self._ask(wire)
                tally.served += len(tokens)
                if tokens:
                    tally.last_served_at = time.monotonic()
                for token in tokens:
                    if confirms:
                        await self._confirm(wire, token, tally)
                    else:
                        tally.kept_back += 1
                if not tokens:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            wire.close()

    async def _ask(self, wire: Wire) -> list[str]:
        status, body = await wire.ask(self._get)
        return [popup["token"] for popup in json.loads(body)["popups"]] if status == 200 else []

    async def _confirm(self, wire: Wire, token: str, tally: Tally) -> None:
        """The same token again until the service has decided, as the rules for clients say."""
        request = post_impressions(self._jwt, {"token": token})
        while True:
            status, _ = await wire.ask(request)
            tally.statuses[status] += 1
            if status == 202:
                tally.accepted += 1
            if status != 503:
                return
            await asyncio.sleep(PAUSE_SECONDS)
