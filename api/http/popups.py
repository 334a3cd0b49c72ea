"""`GET /v1/popups`: what this user may see now, each popup with its signed token."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from aiohttp import web

from api.access.identity import USER
from api.campaigns.asked import Asked
from api.campaigns.experiments import LiveVariant
from api.campaigns.live import LiveCampaign
from api.campaigns.selection import choose
from api.http.context import Query
from api.http.delivery import DELIVERY, Delivery
from api.http.previews import previewed
from api.http.serving import Serving
from api.read.reader import View
from api.tokens import session_hash

HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def get_popups(request: web.Request) -> web.Response:
    delivery = request.app[DELIVERY]
    now = time.time()
    user_id = request[USER]
    query = delivery.context_of(request.rel_url.raw_query_string)
    preview = await previewed(delivery, query.preview, user_id, now) if query.preview else None
    view = await delivery.reader.view(user_id)
    return web.Response(body=answer(delivery, user_id, query, view, preview), headers=HEADERS)


def answer(
    delivery: Delivery,
    user_id: str,
    query: Query,
    view: View,
    preview: tuple[LiveCampaign, LiveVariant] | None = None,
) -> bytes:
    """The answer's JSON. Nothing that it does waits."""
    asked = asked_by(user_id, query, view, now_us=time.time_ns() // 1000)
    serving = Serving(delivery, user_id, asked)
    popups = []
    if preview is not None:
        popups.append(serving.preview(*preview))
        asked.limit -= 1
    choice = choose(view.catalog.matching(query.context), asked)
    previewed_id = None if preview is None else preview[0].id
    popups += [
        serving.popup(campaign, seen) for campaign, seen in choice.shown if campaign.id != previewed_id
    ]
    ghosts = [serving.ghost(campaign) for campaign, _ in choice.ghosts]
    return _body(delivery, view, popups, ghosts)


def asked_by(user_id: str, query: Query, view: View, *, now_us: int) -> Asked:
    """The question as the engine takes it."""
    return Asked(
        view.history,
        user=user_id.encode(),
        now_us=now_us,
        limit=query.context.limit,
        zone=query.context.zone,
        session=session_hash(query.session) if query.session else 0,
        policy=view.catalog.policy,
        test=user_id in view.catalog.test_users,
    )


def _body(delivery: Delivery, view: View, popups: list[bytes], ghosts: list[bytes | None]) -> bytes:
    held_out = b",".join(ghost for ghost in ghosts if ghost is not None)
    return b'{"popups":[%b],%b"as_of":"%b","next_fetch_seconds":%d}' % (
        b",".join(popups),
        b'"held_out":[%b],' % held_out if held_out else b"",
        _iso_micros(view.snapshot.merged_at),
        delivery.config.next_fetch_seconds,
    )


@lru_cache(maxsize=16)
def _iso_micros(moment: datetime) -> bytes:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
