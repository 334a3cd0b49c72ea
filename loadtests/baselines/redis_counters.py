"""The Redis variant: counters that expire with their window, campaigns in the process's memory.

`python -m loadtests.baselines.redis_counters` prints its port and serves. A counter's window begins with its
first impression; an impression is counted and put on a stream, from which a worker would store it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import redis.asyncio as redis
from aiohttp import web

from loadtests.baselines.answers import LIMIT, accepted, campaign_of, popups
from loadtests.baselines.phones import Users, add_whoami
from loadtests.baselines.redis_campaigns import CAMPAIGNS_KEY, STREAM_KEY, Campaign, Placement, parse
from loadtests.baselines.serving import serve

#: As many as the benchmark has connections: a command never waits for a free one.
_POOL: Final = 64
_TIMEOUT_SECONDS: Final = 30.0
_RELOAD_SECONDS: Final = 1.0

USERS = web.AppKey("users", Users)
CLIENT = web.AppKey("client", redis.Redis)
CATALOG = web.AppKey("catalog", dict[Any, Any])


async def get_popups(request: web.Request) -> web.Response:
    """One round trip: all counters that the placement's caps ask for, and the user's lists."""
    now = time.time()
    user = request.app[USERS].user_id(request, now)
    placement: Placement = request.app[CATALOG][request.query["placement"]]
    async with request.app[CLIENT].pipeline(transaction=False) as pipeline:
        pipeline.mget(placement.counters(user))
        pipeline.smembers(f"t:{user}")
        counts, listed = await pipeline.execute()
    return popups(placement.choose(counts, listed, now, LIMIT))


async def post_impression(request: web.Request) -> web.Response:
    """One round trip: a counter for each cap, and the stream."""
    user = request.app[USERS].user_id(request, time.time())
    campaign_id = await campaign_of(request)
    campaign: Campaign = request.app[CATALOG][campaign_id]
    async with request.app[CLIENT].pipeline(transaction=False) as pipeline:
        for key, seconds in campaign.counters(user):
            pipeline.incr(key)
            if seconds is not None:
                pipeline.expire(key, seconds, nx=True)
        pipeline.xadd(STREAM_KEY, {"u": user, "c": campaign_id})
        await pipeline.execute()
    return accepted()


def main() -> None:
    app = web.Application()
    app[USERS] = Users(os.environ["BASELINE_JWT_SECRET"])
    app.cleanup_ctx.append(_redis)
    app.add_routes([web.get("/v1/popups", get_popups), web.post("/v1/impressions", post_impression)])
    add_whoami(app, app[USERS], time.time)
    serve(app)


async def _redis(app: web.Application) -> AsyncIterator[None]:
    pool = redis.BlockingConnectionPool.from_url(
        os.environ["BASELINE_REDIS_URL"],
        max_connections=_POOL,
        timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
    )
    async with redis.Redis(connection_pool=pool) as client:
        app[CLIENT] = client
        app[CATALOG] = parse(await client.get(CAMPAIGNS_KEY) or b"[]")
        reload = asyncio.create_task(_reload(app), name="reload")
        yield
        reload.cancel()
        with suppress(asyncio.CancelledError):
            await reload
    await pool.aclose()


async def _reload(app: web.Application) -> None:
    """Campaigns change seldom, and a second later is early enough."""
    known = None
    while True:
        await asyncio.sleep(_RELOAD_SECONDS)
        text = await app[CLIENT].get(CAMPAIGNS_KEY) or b"[]"
        if text != known:
            catalog = app[CATALOG]
            catalog.clear()
            catalog.update(parse(text))
            known = text


if __name__ == "__main__":
    main()
