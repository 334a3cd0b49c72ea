"""Liveness and readiness, for orchestrators and load balancers."""

import asyncio
import json
import logging
import time
from typing import Any, Final

from aiohttp import web

from api.http.delivery import DELIVERY, Delivery

#: Ready means that there is room for more: a merge that has stopped shows well before the limit.
_PENDING_READY_SHARE: Final = 0.8
_LOOK_SECONDS: Final = 0.1
_NO_STORE: Final = {"Cache-Control": "no-store"}

log = logging.getLogger("tayang.http")


async def get_health(_request: web.Request) -> web.Response:
    """The process answers. It says nothing of the database."""
    return web.json_response({"status": "ok"}, headers=_NO_STORE)


async def get_ready(request: web.Request) -> web.Response:
    """200 if popups can be served and impressions stored; else 503 and which part can't."""
    delivery = request.app[DELIVERY]
    parts = readiness(delivery)
    ready = all(part["ok"] for part in parts.values()) and not delivery.connections.stopping
    status = "stopping" if delivery.connections.stopping else "ready" if ready else "not_ready"
    document = {"status": status, "parts": parts}
    headers = _NO_STORE if ready else {**_NO_STORE, "Retry-After": "1"}
    return web.Response(
        body=json.dumps(document).encode(),
        status=200 if ready else 503,
        content_type="application/json",
        headers=headers,
    )


def readiness(delivery: Delivery) -> dict[str, dict[str, Any]]:
    reader, pending, stats = delivery.reader, delivery.pending, delivery.flusher.stats
    reading = [server.name for server in reader.servers if reader.in_use(server)]
    return {
        "reads": {
            "ok": reader.answering,
            "servers": reading,
            "catalog_version": reader.catalog.version,
        },
        "writes": {"ok": stats.connected, "detail": "" if stats.connected else stats.last_error},
        "buffer": {
            "ok": len(pending) < _PENDING_READY_SHARE * pending.max_rows,
            "pending_rows": len(pending),
            "max_rows": pending.max_rows,
        },
        "merge": _merge(delivery),
    }


async def watch_merge_lag(delivery: Delivery) -> None:
    """Note how old the oldest unmerged event is, and log when that begins and ends to be too much."""
    late = False
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now, pending = time.monotonic(), delivery.pending
        delivery.oldest.note(now, last_seq=pending.last_seq, forgotten_through=pending.forgotten_through)
        was_late, late = late, delivery.oldest.age_seconds(now) > delivery.config.merge_lag_warn_seconds
        if late and not was_late:
            log.warning("merging has stopped or can't keep up: %s", _merge(delivery)["warning"])
        elif was_late and not late:
            log.info("merging goes on: %d events are not seen merged", len(pending))


def _merge(delivery: Delivery) -> dict[str, Any]:
    """Always ok: a merge that is late is late for every worker, and none would be left to serve."""
    age = delivery.oldest.age_seconds(time.monotonic())
    part: dict[str, Any] = {"ok": True, "oldest_pending_seconds": round(age, 3)}
    if age > delivery.config.merge_lag_warn_seconds:
        pending = delivery.pending
        part["warning"] = (
            f"an event waits to be merged since {age:.0f} s; {len(pending)} do, "
            f"of at most {pending.max_rows}. Is 'tayang maintain' running?"
        )
    return part
