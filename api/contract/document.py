"""The OpenAPI document: the descriptions, with what models, errors and the table of access say themselves."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from api import errors
from api.access.table import SCOPES, TABLE, Access
from api.contract.answers import Problem
from api.contract.headers import HEADERS, OF_PROBLEMS
from api.contract.routes import OPERATIONS
from api.contract.schemas import Schemas
from api.contract.words import Answer, Body, Link, Operation, Parameter
from api.errors import PROBLEM_JSON, Code

Document = dict[str, Any]

#: Of a request to any path.
_EVERYWHERE: Final = (
    errors.BAD_REQUEST,
    errors.BAD_PARAMETER,
    errors.EXPECTATION_FAILED,
    errors.METHOD_NOT_ALLOWED,
    errors.REQUEST_TIMEOUT,
    errors.HEAD_TOO_LARGE,
    errors.INTERNAL,
    errors.OVERLOADED,
    errors.STOPPING,
)
_WITH_CREDENTIALS: Final = (errors.UNAUTHORIZED, errors.FORBIDDEN, errors.UNAVAILABLE)
_WITH_JSON: Final = (errors.BAD_JSON,)
_WITH_BODY: Final = (errors.TOO_LARGE, errors.UNSUPPORTED_ENCODING)
_OF_USERS: Final = (errors.RATE_LIMITED,)
_WITH_PATH: Final = (errors.NOT_FOUND,)

_UNCHANGED: Final = "It is still what `If-None-Match` names."
_ABOUT: Final = """\
Tayang decides which campaign popups a mobile user sees now, and never shows one more often than
its caps allow.

Errors are RFC 9457 documents (`application/problem+json`): branch on their `code`, which is stable;
`x-codes` of an answer lists those that it may have. Within `v1` answers and lists of codes may get
new members: ignore what you don't know.
"""


def document(routes: Iterable[str]) -> Document:
    """OpenAPI 3.1 of these routes, each "METHOD /path". Raises ValueError for one that is not described."""
    described = {route: _description(route) for route in sorted(routes, key=_place)}
    schemas = Schemas(described.values(), Problem)
    problems: dict[str, Document] = {}
    paths: dict[str, Document] = {}
    for route, operation in described.items():
        method, path = route.split(" ")
        ids = {each.id for each in described.values()}
        written = _Writer(schemas, problems, ids).operation(operation, TABLE[route])
        paths.setdefault(path, {})[method.lower()] = written
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tayang", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in described.values())],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": dict(sorted(problems.items())),
            "headers": HEADERS,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def codes_of(route: str, operation: Operation) -> list[Code]:
    """All that it may answer."""
    access, body = TABLE[route], operation.body
    places = {parameter.where for parameter in operation.parameters}
    found = [*_EVERYWHERE, *operation.codes]
    found += _WITH_CREDENTIALS if not access.public else ()
    found += _WITH_BODY if body is not None else ()
    found += _WITH_JSON if body is not None and body.media_types[-1].endswith("json") else ()
    found += _WITH_PATH if "path" in places or "campaign" in _names(operation) else ()
    found += _OF_USERS if access.users else ()
    return sorted(set(found), key=lambda code: (code.status, code.code))


class _Writer:
    def __init__(self, schemas: Schemas, problems: dict[str, Document], ids: set[str]) -> None:
        self._schemas = schemas
        self._problems = problems
        self._ids = ids

    def operation(self, operation: Operation, access: Access) -> Document:
        written: Document = {
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
        }
        if operation.description:
            written["description"] = operation.description
        written["security"] = _security(access)
        if operation.parameters:
            written["parameters"] = [self._parameter(each) for each in operation.parameters]
        if operation.body is not None:
            written["requestBody"] = self._body(operation.body)
        written["responses"] = self._responses(operation)
        return written

    def _parameter(self, parameter: Parameter) -> Document:
        written: Document = {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.description,
            "required": parameter.required or parameter.where == "path",
            "schema": self._schemas.of(parameter.form),
        }
        if parameter.spread:
            written |= {"style": "form", "explode": True}
        if parameter.example is not None:
            written["example"] = parameter.example
        return written

    def _body(self, body: Body) -> Document:
        content = {"schema": self._schemas.of(body.form), "example": body.example}
        return {"required": body.required, "content": dict.fromkeys(body.media_types, content)}

    def _responses(self, operation: Operation) -> Document:
        written: Document = {}
        for answer in operation.answers:
            response = written.setdefault(str(answer.status), {"description": answer.description})
            response |= self._answer(answer, response.get("content", {}))
        route = next(route for route, each in OPERATIONS.items() if each is operation)
        for status, codes in groupby(codes_of(route, operation), key=lambda code: code.status):
            name = str(status)
            refusal = self._problem(status, list(codes))
            if name in written:  # the same status, with a document of its own
                written[name]["content"] |= self._problems[refusal]["content"]
            else:
                written[name] = {"$ref": f"#/components/responses/{refusal}"}
        if "ETag" in written.get("200", {}).get("headers", {}) and route.startswith("GET "):
            written["304"] = {"description": _UNCHANGED, "headers": _headers(["ETag"])}
        return dict(sorted(written.items()))

    def _answer(self, answer: Answer, content: Document) -> Document:
        written: Document = {}
        if answer.headers:
            written["headers"] = _headers(answer.headers)
        if answer.form is not None:
            form = {"schema": self._schemas.of(answer.form), "example": answer.example}
            written["content"] = content | {answer.media_type: form}
        links = {name: _link(link) for name, link in answer.links.items() if link.operation in self._ids}
        if links:
            written["links"] = links
        return written

    def _problem(self, status: int, codes: Sequence[Code]) -> str:
        """The name of the response with these codes, all of this status."""
        name = ".".join([str(status), *(code.code for code in codes)])
        written: Document = {
            "description": ". ".join(f"`{code.code}`: {code.title}" for code in codes) + ".",
            "content": {PROBLEM_JSON: {"schema": self._schemas.of(Problem), "example": _example(codes[0])}},
            "x-codes": [code.code for code in codes],
        }
        if status in OF_PROBLEMS:
            written["headers"] = _headers(OF_PROBLEMS[status])
        self._problems[name] = written
        return name


def _description(route: str) -> Operation:
    found = OPERATIONS.get(route)
    if found is None:
        raise ValueError(f"{route} is not described: do so in api/contract/routes")
    return found


def _place(route: str) -> int:
    return list(OPERATIONS).index(route) if route in OPERATIONS else -1


def _names(operation: Operation) -> set[str]:
    return {parameter.name for parameter in operation.parameters}


def _headers(names: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _link(link: Link) -> Document:
    written: Document = {"operationId": link.operation}
    if link.parameters:
        written["parameters"] = dict(link.parameters)
    if link.body is not None:
        written["requestBody"] = link.body
    return written


def _example(code: Code) -> Document:
    return {
        "type": "about:blank",
        "title": code.title,
        "status": code.status,
        "code": code.code,
        "detail": "what is wrong, and what to do about it",
    }


def _security(access: Access) -> list[Mapping[str, list[str]]]:
    """One of these: a key with one of the scopes, or a user's JWT."""
    users: list[Mapping[str, list[str]]] = [{"userJwt": []}] if access.users else []
    return users + [{"apiKey": [scope]} for scope in SCOPES if scope in access.scopes]


_SECURITY_SCHEMES: Final = {
    "userJwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT that the app's login service has signed: its `sub` is the user.",
    },
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "tyk_…",
        "description": f"An API key. What is required here is one scope of: {', '.join(SCOPES)}.",
    },
}
