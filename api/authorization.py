"""The Authorization header of a request."""

from multidict import CIMultiDictProxy

from api import errors
from api.errors import ProblemError


def authorization(headers: CIMultiDictProxy[str]) -> str | None:
    """Its value; None without one. Raises ProblemError (400) if it is sent twice.

    A gateway that looks at one of them and we at the other would be looking at two callers.
    """
    values = headers.getall("Authorization", None)
    if values is None:
        return None
    if len(values) > 1:
        raise ProblemError(errors.BAD_REQUEST, "The header Authorization is sent twice: send it once.")
    return values[0]
