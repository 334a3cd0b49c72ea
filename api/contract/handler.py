"""`GET /openapi.json` and `GET /docs`: made once a process, when somebody asks first."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Final

from aiohttp import web

from api.access.guard import guarded
from api.contract.document import document
from api.contract.page import page
from api.http.negotiation import negotiated

_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True)
class File:
    body: bytes
    content_type: str
    etag: str


@dataclass(frozen=True)
class Contract:
    """What there is to read about an application."""

    openapi: File
    page: File
    style: File


#: One for each application of the process.
_KNOWN: Final[dict[frozenset[str], Contract]] = {}


def contract_routes() -> list[web.RouteDef]:
    """For every application: each tells of its own routes."""
    return guarded(
        [
            web.get("/openapi.json", get_openapi),
            web.get("/docs", get_docs),
            web.get("/docs/style.css", get_style),
        ],
        around=negotiated,
    )


async def get_openapi(request: web.Request) -> web.Response:
    return _answer((await _contract(request)).openapi)


async def get_docs(request: web.Request) -> web.Response:
    return _answer((await _contract(request)).page)


async def get_style(request: web.Request) -> web.Response:
    return _answer((await _contract(request)).style)


def routes_of(app: web.Application) -> frozenset[str]:
    """As "METHOD /path"; a HEAD goes with its GET."""
    return frozenset(
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    )


async def _contract(request: web.Request) -> Contract:
    routes = routes_of(request.app)
    known = _KNOWN.get(routes)
    if known is None:
        # Some 0.1 s of work, once: in a thread, since others are waiting for popups.
        known = _KNOWN[routes] = await asyncio.to_thread(_made, routes)
    return known


def _made(routes: frozenset[str]) -> Contract:
    described = document(routes)
    style = resources.files("api.contract").joinpath("style.css").read_bytes()
    return Contract(
        openapi=_file(json.dumps(described, ensure_ascii=False).encode(), "application/json"),
        page=_file(page(described).encode(), "text/html"),
        style=_file(style, "text/css"),
    )


def _file(body: bytes, content_type: str) -> File:
    return File(body, content_type, hashlib.sha256(body).hexdigest()[:32])


def _answer(file: File) -> web.Response:
    headers = {
        "ETag": f'"{file.etag}"',
        "Cache-Control": "no-cache",  # kept, and asked about
        "Content-Security-Policy": _CSP,
    }
    charset = "utf-8" if file.content_type.startswith("text/") else None
    return web.Response(body=file.body, headers=headers, content_type=file.content_type, charset=charset)
