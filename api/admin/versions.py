"""Optimistic locking: which version of a document the client has read, from If-Match or the body."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from api.admin.validation import invalid_field
from api.errors import BAD_REQUEST, PRECONDITION_REQUIRED, VERSION_CONFLICT, ProblemError

# Weak ones too: a proxy that compresses weakens an ETag, and a version number stays exact.
_ETAGS: Final = re.compile(r'\s*(?:W/)?"\d{1,10}"\s*(?:,\s*(?:W/)?"\d{1,10}"\s*)*', re.ASCII)


@dataclass(frozen=True)
class Expected:
    """The versions that the client accepts as the current one; None: any."""

    versions: frozenset[int] | None

    def allows(self, version: int) -> bool:
        return self.versions is None or version in self.versions


def expected_version(request: web.Request, body: dict[str, Any] | None = None) -> Expected | None:
    """From If-Match and from the body's `version`, which is taken out of it. None: neither was given.

    Raises ProblemError 400 or 422 when one can't be read, or they disagree.
    """
    named = _from_header(request)
    if body is None or "version" not in body:
        return named
    version = body.pop("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise invalid_field("version", "wrong_type", "must be the whole number that you read")
    if named is not None and not named.allows(version):
        raise ProblemError(BAD_REQUEST, "If-Match and version disagree: send one of them")
    return Expected(frozenset({version}))


def required_version(request: web.Request, body: dict[str, Any]) -> Expected:
    """The same. Raises ProblemError 428 when neither was given."""
    expected = expected_version(request, body)
    if expected is None:
        raise ProblemError(
            PRECONDITION_REQUIRED,
            'send the version that you read, as the header \'If-Match: "3"\' or as the member "version"',
        )
    return expected


@contextmanager
def conflict_first(expected: Expected, current: int, what: str = "campaign") -> Iterator[None]:
    """Around the checks of a body: one made from an older version is a conflict before it is wrong.

    The older version's read-only fields in it are no mistake of the client's.
    """
    try:
        yield
    except ProblemError:
        if not expected.allows(current):
            raise version_conflict(current, what) from None
        raise


def version_conflict(current: int, what: str = "campaign") -> ProblemError:
    return ProblemError(
        VERSION_CONFLICT,
        f"the {what} is at version {current}: read it again, and make your change there",
        headers={"ETag": etag(current)},
        current_version=current,
    )


def etag(version: int) -> str:
    return f'"{version}"'


def _from_header(request: web.Request) -> Expected | None:
    headers = request.headers.getall("If-Match", [])
    if not headers:
        return None
    text = ",".join(headers)
    if text.strip() == "*":
        return Expected(None)
    if _ETAGS.fullmatch(text) is None:
        raise ProblemError(BAD_REQUEST, 'If-Match must be an ETag as you got it, such as "3", or *')
    return Expected(frozenset(int(version) for version in re.findall(r"\d+", text)))
