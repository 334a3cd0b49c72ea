"""The document as one page: no script, and nothing from anywhere else."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from api.contract.curl import curl
from api.contract.html import code, listing, paragraphs, table, text
from api.contract.shapes import fields, name_of, shape

Document = dict[str, Any]

_METHODS: Final = ("get", "put", "post", "patch", "delete")


def page(document: Document) -> str:
    """Of an OpenAPI document that `api.contract.document` has made."""
    operations = list(_operations(document))
    info = document["info"]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(info["title"])} API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<nav aria-label="Operations">
<p class="brand"><a href="#content">{escape(info["title"])} <small>API v{info["version"]}</small></a></p>
{_navigation(document, operations)}
</nav>
<main id="content">
<h1>{escape(info["title"])} API</h1>
{paragraphs(info["description"])}
<p>As a document for programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1). In the examples
<code>$TAYANG</code> is the address of the service, <code>$KEY</code> an API key and <code>$JWT</code>
a user's JWT.</p>
{"".join(_section(document, *each) for each in operations)}
{_schemas(document)}
</main>
</body>
</html>
"""


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _navigation(document: Document, operations: list[tuple[str, str, Document]]) -> str:
    parts = []
    for tag in document["tags"]:
        links = "".join(
            f'<li><a href="#{operation["operationId"]}">{_method(method)} <span>{_path(path)}</span></a></li>'
            for method, path, operation in operations
            if operation["tags"] == [tag["name"]]
        )
        parts.append(f"<details open><summary>{escape(tag['name'])}</summary><ul>{links}</ul></details>")
    return "".join(parts) + '<p><a href="#schemas">Schemas</a></p>'


def _method(method: str) -> str:
    return f'<b class="{method.lower()}">{method}</b>'


def _path(path: str) -> str:
    """May be broken at a slash."""
    return escape(path).replace("/", "/<wbr>").replace("/<wbr>", "/", 1)


def _section(document: Document, method: str, path: str, operation: Document) -> str:
    name = operation["operationId"]
    parts = [
        f'<section id="{name}"><h2>{escape(operation["summary"])}</h2>',
        f'<p class="route"><a href="#{name}">{_method(method)} <code>{_path(path)}</code></a></p>',
        paragraphs(operation.get("description", "")),
        f"<p>Who may: {_who(operation)}.</p>",
        _parameters(operation),
        _body(operation),
        "<h3>Example</h3>",
        listing(curl(method, path, operation)),
        "<h3>Answers</h3>",
        _answers(document, operation),
        "</section>",
    ]
    return "\n".join(parts)


def _who(operation: Document) -> str:
    """One of its requirements."""
    named = [
        "a user with his JWT" if name == "userJwt" else f"a key with the scope {code(scopes[0])}"
        for each in operation["security"]
        for name, scopes in each.items()
    ]
    return ", or ".join(named) or "anybody"


def _parameters(operation: Document) -> str:
    rows = [
        [
            code(each["name"]) + ("" if each["required"] else " <small>optional</small>"),
            escape(each["in"]),
            shape(each["schema"]),
            text(each["description"]),
        ]
        for each in operation.get("parameters", ())
    ]
    return "<h3>Parameters</h3>" + table(["Parameter", "In", "Type", ""], rows) if rows else ""


def _body(operation: Document) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    (media_type, content), *_ = body["content"].items()
    optional = "" if body["required"] else " <small>optional</small>"
    return (
        f"<h3>Body{optional}</h3><p>{code(media_type)}: {shape(content['schema'])}</p>"
        f"{_example(content['example'])}"
    )


def _answers(document: Document, operation: Document) -> str:
    rows = []
    examples = ""
    for status, answer in operation["responses"].items():
        told = answer
        if "$ref" in answer:
            told = document["components"]["responses"][name_of(answer["$ref"])]
        content = told.get("content", {})
        forms = ", ".join(
            f"{shape(each['schema'])} <small>{escape(name)}</small>" for name, each in content.items()
        )
        headers = ", ".join(code(name) for name in told.get("headers", {}))
        rows.append([f"<b>{status}</b>", text(told["description"]), forms, headers])
        if status.startswith("2") and content and not examples:
            examples = _example(next(iter(content.values()))["example"])
    return table(["Status", "", "Body", "Headers"], rows) + examples


def _example(example: Any) -> str:
    return listing(example if isinstance(example, str) else json.dumps(example, ensure_ascii=False, indent=2))


def _schemas(document: Document) -> str:
    parts = [
        f'<section id="schema-{name}"><h3><a href="#schema-{name}">{name}</a></h3>'
        f"{paragraphs(schema.get('description', ''))}{fields(schema)}</section>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return f'<h2 id="schemas">Schemas</h2>{"".join(parts)}'
