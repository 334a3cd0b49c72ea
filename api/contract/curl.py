"""An operation as a command of curl: $TAYANG is the address, and $KEY or $JWT who calls."""

import json
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

Document = dict[str, Any]


def curl(method: str, path: str, operation: Document) -> str:
    return " \\\n  ".join(_lines(method, path, operation))


def _lines(method: str, path: str, operation: Document) -> Iterator[str]:
    parameters = operation.get("parameters", ())
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe=""))
    asked = urlencode({each["name"]: each["example"] for each in parameters if _is_asked(each)})
    request = "" if method == "GET" else f" -X {method}"
    yield f'curl{request} "$TAYANG{path}{"?" if asked else ""}{asked}"'
    if operation["security"]:
        secret = "$JWT" if "userJwt" in operation["security"][0] else "$KEY"
        yield f'-H "Authorization: Bearer {secret}"'
    for parameter in parameters:
        if parameter["in"] == "header":
            yield "-H " + shlex.quote(f"{parameter['name']}: {parameter['example']}")
    for media_type, content in list(operation.get("requestBody", {}).get("content", {}).items())[:1]:
        yield f"-H 'Content-Type: {media_type}'"
        yield _data(content["example"])


def _is_asked(parameter: Document) -> bool:
    return bool(parameter["in"] == "query" and parameter["required"])


def _data(example: Any) -> str:
    if isinstance(example, str):
        return "--data-binary @users.csv"
    return "-d " + shlex.quote(json.dumps(example, ensure_ascii=False))
