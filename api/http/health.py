"""Liveness and readiness, for orchestrators and load balancers."""

import json
from typing import Any, Final

from aiohttp import web

from api.http.delivery import DELIVERY, Delivery

#: Ready means that there is room for more: a merge that has stopped shows well before the limit.
_PENDING_READY_SHARE: Final = 0.8


async def get_health(_request: web.Request) -> web.Response:
    """The process answers. It says nothing of the database."""
    return web.json_response({"status": "ok"})


async def get_ready(request: web.Request) -> web.Response:
    """200 if popups can be served and impressions stored; else 503 and which part can't."""
    parts = readiness(request.app[DELIVERY])
    ready = all(part["ok"] for part in parts.values())
    document = {"status": "ready" if ready else "not_ready", "parts": parts}
    headers = {} if ready else {"Retry-After": "1"}
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
    }
