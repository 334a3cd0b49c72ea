"""`python -m tests.simulations.selection`: what choosing and explaining cost, without database and HTTP.

Campaigns that all match, which is the worst there is, and as many of which a request's context leaves 20.
"""

import gc
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from api.campaigns.asked import Asked
from api.campaigns.catalog import Catalog, Context
from api.campaigns.explanation import explain
from api.campaigns.history import History, Seen
from api.campaigns.model import Campaign
from api.campaigns.selection import choose
from tests.support.campaigns import document
from tests.support.engine import catalog_of

NOW_US = 1_795_000_000_000_000
DAY_US = 86_400_000_000
SIZES = (10, 50, 500, 5_000)
USERS = 200
REPEATS = 9
MATCHING = 20


def main() -> None:
    """µs a user, the median of the repeats."""
    print(f"{'live':>6} {'all match':>12} {f'{MATCHING} match':>12} {'explained':>12}   (µs a user)")  # noqa: T201
    for size in SIZES:
        every, some = catalog(size, segments=1), catalog(size, segments=max(1, size // MATCHING))
        figures = [_microseconds(_choosing(each), USERS) for each in (every, some)]
        figures.append(_microseconds(_explaining(some), max(1, USERS // size)))
        print(f"{size:6,} " + " ".join(f"{figure:12,.1f}" for figure in figures))  # noqa: T201


def catalog(size: int, *, segments: int) -> Catalog:
    """With caps, a cooldown for some, ten priorities; each for one of the segments."""
    campaigns = [Campaign.model_validate(_document(number, segments)) for number in range(1, size + 1)]
    return catalog_of(campaigns)


def _document(number: int, segments: int) -> dict[str, Any]:
    segment = {"attribute": "attr.segment", "op": "eq", "value": str(number % segments)}
    return document(
        number,
        priority=number // segments % 10,
        caps=[{"limit": 3, "window": "24h"}, {"limit": 10, "window": "lifetime"}],
        cooldown="30m" if number % 4 == 0 else None,
        targeting={"all": [{"attribute": "platform", "op": "eq", "value": "android"}, segment]},
    )


def _histories(size: int) -> list[dict[int, Seen]]:
    rng = random.Random(7)
    return [
        {
            number: Seen(3, sorted((NOW_US - rng.randrange(9 * DAY_US) for _ in range(3)), reverse=True))
            for number in rng.sample(range(1, size + 1), min(size, MATCHING))
        }
        for _ in range(USERS)
    ]


def _choosing(known: Catalog) -> Callable[[int], object]:
    histories, context = _histories(len(known.campaigns)), _context()
    return lambda user: choose(known.matching(context), _asked(histories[user], user))


def _explaining(known: Catalog) -> Callable[[int], object]:
    histories, context = _histories(len(known.campaigns)), _context()
    return lambda user: explain(known, context, _asked(histories[user], user))


def _context() -> Context:
    return Context("home", {"platform": "android", "attr.segment": "0"}, 5)


def _asked(seen: dict[int, Seen], user: int) -> Asked:
    return Asked(History(dict(seen)), user=b"user %d" % user, now_us=NOW_US, limit=5)


def _microseconds(ask: Callable[[int], object], users: int) -> float:
    ask(0)  # what is remembered by context
    gc.collect()
    runs = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for user in range(users):
            ask(user)
        runs.append((time.perf_counter() - started) / users * 1e6)
    return median(runs)


if __name__ == "__main__":
    main()
