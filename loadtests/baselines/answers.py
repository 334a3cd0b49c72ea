"""The baselines' answers look like Tayang's. A popup's document is rendered once for each campaign."""

import json
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
ACCEPTED: Final = b'{"accepted":1,"rejected":[]}'
LIMIT: Final = 5


def popup(campaign_id: int, key: str, placement: str, priority: int, content: Any) -> str:
    """A popup as JSON. Its token is the campaign's id: what the app sends back when it has shown it."""
    document = {
        "campaign": key,
        "variant": "a",
        "placement": placement,
        "priority": priority,
        "content": content,
        "token": str(campaign_id),
    }
    return json.dumps(document, separators=(",", ":"))


def popups(documents: Iterable[str]) -> web.Response:
    body = f'{{"popups":[{",".join(documents)}],"next_fetch_seconds":60}}'
    return web.Response(body=body.encode(), headers=_HEADERS)


def accepted() -> web.Response:
    return web.Response(status=202, body=ACCEPTED, headers=_HEADERS)


async def campaign_of(request: web.Request) -> int:
    """The campaign that a `POST /v1/impressions` names. Raises HTTPBadRequest."""
    try:
        return int(json.loads(await request.read())["token"])
    except (ValueError, KeyError, TypeError) as error:
        raise web.HTTPBadRequest(text="the body is {'token': '<a popup's token>'}") from error
