"""The documents against the code: settings, routes, error codes, metrics, and links between files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api import errors
from api.app import create_app, create_backoffice
from api.config import ApiConfig
from api.errors import Code
from api.http.metrics import _METRICS
from tayang.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s`?#]*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def rows(document: str, cell: str) -> Iterator[list[str]]:
    """The table rows of a document whose first cell matches `cell` whole."""
    for line in (DOCS / document).read_text(encoding="utf-8").splitlines():
        cells = [text.strip() for text in line.strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(cell, cells[0]):
            yield cells


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("settings.md", r"`TAYANG_\w+`")}

    assert documented == {
        f"TAYANG_{name.upper()}": _shown(field.default) for name, field in Settings.model_fields.items()
    }


def test_every_error_code_is_documented_with_its_status() -> None:
    documented = {
        (row[0].strip("`"), row[1])
        for row in rows("api.md", r"`[a-z_]+`")
        if re.fullmatch(r"[45]\d\d", row[1])
    }

    codes = [value for value in vars(errors).values() if isinstance(value, Code)]
    assert documented == {(code.code, str(code.status)) for code in codes}


def test_every_route_is_documented_and_nothing_else() -> None:
    config = ApiConfig(
        primary_dsn="postgresql://nowhere/",
        replica_dsn="",
        admin_key="the-admin-key-of-the-tests",
        token_secrets=("the-token-secret-of-the-tests",),
        user_jwt_secret="the-user-secret-of-the-tests-is-long-enough",
    )
    documented = set(_ROUTE.findall((DOCS / "api.md").read_text(encoding="utf-8")))

    assert documented == _routes(create_app(config))
    assert _routes(create_backoffice(config)) < documented


def test_every_metric_is_documented() -> None:
    documented = {row[0].strip("`") for row in rows("operations.md", r"`tayang_\w+`")}

    registry_names = {
        name + "_total" if kind.__name__.startswith("Counter") else name
        for name, (kind, _help, _labels) in _METRICS.items()
    }
    assert documented == registry_names


@pytest.mark.parametrize(
    "file", sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")]), ids=lambda file: file.name
)
def test_links_lead_somewhere(file: Path) -> None:
    dead = [
        link
        for link in _LINK.findall(file.read_text(encoding="utf-8"))
        if "://" not in link and not _leads_somewhere(file, *link.partition("#")[::2])
    ]

    assert dead == []


def _leads_somewhere(file: Path, path: str, anchor: str) -> bool:
    target = (file.parent / path).resolve() if path else file
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = _HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _routes(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }


def _shown(default: Any) -> str:
    return "none" if default is None or default in ("", ()) else str(default)
