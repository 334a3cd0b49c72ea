"""`python -m tests.simulations.guard`: what the guard of a mobile request costs, and its rate limit.

And how much memory the limit takes when ten million users come, each of them once.
"""

import asyncio
import resource
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import cycle
from time import perf_counter, process_time
from typing import cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from api.access.guard import guarded
from api.access.limits import RateLimit
from api.app import create_app
from api.config import ApiConfig
from api.errors import ProblemError
from tests.support.service import USER_SECRET, bearer

REQUESTS = 20_000
REPEATS = 15
USERS = 2_000
STRANGERS = 10_000_000
CALLERS = 200_000


def main() -> None:
    """The least of the repeats, in µs a request."""
    users = [f"user {number}" for number in range(USERS)]
    limit = RateLimit("user", per_second=1e6, burst=100, max_subjects=CALLERS)
    _told("a request that is admitted, the check alone", _least(limit.admit, users))
    _told("a request that is refused, the check alone", _least(_refuse, users))
    with_limit, without = _guards(users)
    _told("the guard (its JWT is remembered), without a limit", without)
    _told("the guard (its JWT is remembered), with the limit", with_limit)
    _flood()


def _told(what: str, microseconds: float) -> None:
    print(f"{what:55} {microseconds:8.2f} µs")  # noqa: T201


def _least(work: Callable[[str], object], users: list[str]) -> float:
    """Without the loop around it."""
    names = cycle(users)
    alone = min(_seconds(lambda: [next(names) for _ in range(REQUESTS)]) for _ in range(REPEATS))
    whole = min(_seconds(lambda: [work(next(names)) for _ in range(REQUESTS)]) for _ in range(REPEATS))
    return (whole - alone) / REQUESTS * 1e6


def _seconds(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


_EMPTY = RateLimit("user", per_second=0.001, burst=1, max_subjects=CALLERS)


def _refuse(user: str) -> None:
    with suppress(ProblemError):
        _EMPTY.admit(user)


def _guards(users: list[str]) -> tuple[float, float]:
    """In turns, since the machine's other work comes and goes."""
    all_of = [*_guard(users, 1e6), *_guard(users, 0.0)]
    rounds = [[each() for each in all_of] for _ in range(REPEATS)]
    least = [min(times) for times in zip(*rounds, strict=True)]
    return least[0] - least[1], least[2] - least[3]


def _guard(users: list[str], rate: float) -> tuple[Callable[[], float], Callable[[], float]]:
    """The handler guarded, and alone; each gives µs a request."""
    app = create_app(
        ApiConfig(
            primary_dsn="postgresql://nowhere/",
            replica_dsn="",
            admin_key="",
            token_secrets=("the-token-secret-of-the-tests",),
            user_jwt_secret=USER_SECRET,
            user_max_requests_per_second=rate,
        )
    )
    answer = web.Response()

    async def handler(_request: web.Request) -> web.Response:
        return answer

    guard = cast(
        "Callable[[web.Request], Awaitable[web.StreamResponse]]",
        guarded([web.get("/v1/popups", handler)])[0].handler,
    )
    path = "/v1/popups?placement=home"
    requests = [make_mocked_request("GET", path, headers=bearer(user), app=app) for user in users]

    async def run(guarding: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> float:
        begun = perf_counter()
        for request in requests:
            await guarding(request)
        return (perf_counter() - begun) / len(requests) * 1e6

    return lambda: asyncio.run(run(guard)), lambda: asyncio.run(run(handler))


def _flood() -> None:
    before = _resident_most()
    limit = RateLimit("user", per_second=10, burst=100, max_subjects=CALLERS)
    most, begun = 0, process_time()
    for number in range(STRANGERS):
        limit.admit(f"user-{number:032}")
        if number % 1000 == 0:
            most = max(most, len(limit))
    print(  # noqa: T201
        f"{STRANGERS:,} users, each once, {process_time() - begun:.0f} s of CPU: at most {most:,} remembered "
        f"of {CALLERS:,}, {(_resident_most() - before) / 2**20:.0f} MiB; {limit.early_turns} early turns"
    )


def _resident_most() -> int:
    """Bytes, the most that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
