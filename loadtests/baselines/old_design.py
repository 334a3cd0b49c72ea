"""The old design, literally: a SELECT with COUNT(*) for each GET, an INSERT for each impression.

`python -m loadtests.baselines.old_design` prints its port and serves. `old_design_data` makes its tables.
"""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiohttp import web

from loadtests.baselines.answers import LIMIT, accepted, campaign_of, popups
from loadtests.baselines.phones import Users, add_whoami
from loadtests.baselines.serving import serve

_SQL: Final = Path(__file__).parent / "sql"
_GET: Final = (_SQL / "old_design_get.sql").read_text()
_POST: Final = (_SQL / "old_design_post.sql").read_text()
#: More don't help on two cores, and a queue in the process is cheaper than one in PostgreSQL.
_POOL: Final = 16
_TIMEOUT_SECONDS: Final = 30

PRIMARY = web.AppKey("primary", asyncpg.Pool)
REPLICA = web.AppKey("replica", asyncpg.Pool)
USERS = web.AppKey("users", Users)


async def get_popups(request: web.Request) -> web.Response:
    user = request.app[USERS].user_id(request, time.time())
    rows = await request.app[REPLICA].fetch(_GET, user, request.query["placement"], LIMIT)
    return popups(row[0] for row in rows)


async def post_impression(request: web.Request) -> web.Response:
    user = request.app[USERS].user_id(request, time.time())
    await request.app[PRIMARY].execute(_POST, user, await campaign_of(request))
    return accepted()


def main() -> None:
    app = web.Application()
    app[USERS] = Users(os.environ["BASELINE_JWT_SECRET"])
    app.cleanup_ctx.append(_pools)
    app.add_routes([web.get("/v1/popups", get_popups), web.post("/v1/impressions", post_impression)])
    add_whoami(app, app[USERS], time.time)
    serve(app)


async def _pools(app: web.Application) -> AsyncIterator[None]:
    async with (
        _pool(os.environ["BASELINE_PRIMARY_DSN"]) as primary,
        _pool(os.environ["BASELINE_REPLICA_DSN"]) as replica,
    ):
        app[PRIMARY], app[REPLICA] = primary, replica
        yield


def _pool(dsn: str) -> Any:
    # Statements are prepared once for each connection (asyncpg's own cache). Nothing here leaves state behind
    # in a session, so the round trip that would reset it is saved.
    return asyncpg.create_pool(
        dsn, min_size=_POOL, max_size=_POOL, reset=_no_reset, command_timeout=_TIMEOUT_SECONDS
    )


async def _no_reset(_connection: Any) -> None:
    return None


if __name__ == "__main__":
    main()
