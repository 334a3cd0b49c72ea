"""The ceiling: the least that aiohttp can do. `python -m loadtests.baselines.bare` serves.

Ready-made bytes, uvloop, no access log, no middleware: what any service in aiohttp pays.
"""

from aiohttp import web

from loadtests.baselines.serving import serve

_BODY = b'{"popups":[],"as_of":"2026-11-23T10:00:00Z","next_fetch_seconds":60}'
_ACCEPTED = b'{"accepted":1,"rejected":[]}'
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def answer(_request: web.Request) -> web.Response:
    return web.Response(body=_BODY, headers=_HEADERS)


async def accept(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=_ACCEPTED, status=202, headers=_HEADERS)


def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/", answer), web.get("/v1/popups", answer), web.post("/v1/impressions", accept)])
    serve(app)


if __name__ == "__main__":
    main()
