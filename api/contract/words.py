"""What a route's description is made of. The words of OpenAPI, without what the code itself says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from api.errors import Code

#: A pydantic model, or any annotation that pydantic has a schema for.
Form = Any


@dataclass(frozen=True)
class Parameter:
    """`form` says type and limits. One of a path is required whatever `required` says.

    `spread`: an object whose members are parameters of their own.
    """

    name: str
    form: Form
    description: str
    where: Literal["query", "path", "header"] = "query"
    required: bool = False
    example: Any = None
    spread: bool = False


@dataclass(frozen=True)
class Body:
    form: Form
    example: Any
    media_types: Sequence[str] = ("application/json",)
    required: bool = True
    description: str = ""


@dataclass(frozen=True)
class Link:
    """What can be asked with this answer: `parameters` by name, `body`, both as runtime expressions."""

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Answer:
    """`form` None: no body. `headers`: names of `api.contract.headers.HEADERS`."""

    status: int
    description: str
    form: Form = None
    example: Any = None
    media_type: str = "application/json"
    headers: Sequence[str] = ()
    links: Mapping[str, Link] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One route. `id` is the name of a method in generated clients: it never changes.

    `codes` are the errors of this route; those that every route of its kind has come by themselves.
    Of `answers` two may have one status, with different media types.
    """

    id: str
    tag: str
    summary: str
    answers: Sequence[Answer]
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    codes: Sequence[Code] = ()
