"""`GET /v1/popups`: what this user may see now, each popup with its signed token."""

import time
from datetime import UTC, datetime
from functools import lru_cache

from aiohttp import web

from api.campaigns.asked import Asked
from api.campaigns.selection import choose
from api.http.delivery import DELIVERY, Delivery
from api.read.reader import View

_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def get_popups(request: web.Request) -> web.Response:
    delivery = request.app[DELIVERY]
    user_id = delivery.users.user_id(request.headers.get("Authorization"), time.time())
    query = delivery.context_of(request.rel_url.raw_query_string)
    context = query.context
    view = await delivery.reader.view(user_id)

    now_us = time.time_ns() // 1000
    user = user_id.encode()
    asked = Asked(
        view.history,
        user=user,
        now_us=now_us,
        limit=context.limit,
        zone=context.zone,
        policy=view.catalog.policy,
        test=user_id in view.catalog.test_users,
    )
    choice = choose(view.catalog.matching(context), asked)

    now_seconds = now_us // 1_000_000
    latest = now_seconds + delivery.config.show_within_seconds
    popups = []
    for campaign, _ in choice.shown:
        variant = campaign.variant_for(user)
        show_by, unit = latest, None
        if campaign.budget is not None and (reserved := campaign.budget.reserve(now_us)) is not None:
            unit = reserved.lease_id, reserved.number
            show_by = min(latest, reserved.end_us // 1_000_000 - 1)
        token = delivery.signer.sign(
            user, campaign.id, variant.key, now_ms=now_us // 1000, show_by=show_by, unit=unit
        )
        popups.append(variant.head + token + b'","expires_at":"' + _iso_seconds(show_by) + b'"}')
    return web.Response(body=_body(delivery, view, popups), headers=_HEADERS)


def _body(delivery: Delivery, view: View, popups: list[bytes]) -> bytes:
    return b'{"popups":[%b],"as_of":"%b","next_fetch_seconds":%d}' % (
        b",".join(popups),
        _iso_micros(view.snapshot.merged_at),
        delivery.config.next_fetch_seconds,
    )


@lru_cache(maxsize=16)
def _iso_seconds(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


@lru_cache(maxsize=16)
def _iso_micros(moment: datetime) -> bytes:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
