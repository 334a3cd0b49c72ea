"""Every error leaves as a problem document; what was not foreseen leaves as a 500 without detail."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from api import errors
from api.errors import Code, ProblemError

log = logging.getLogger("tayang.http")

_BY_STATUS = {
    code.status: code
    for code in (
        errors.BAD_REQUEST,
        errors.NOT_FOUND,
        errors.METHOD_NOT_ALLOWED,
        errors.TOO_LARGE,
        errors.UNSUPPORTED_MEDIA_TYPE,
        errors.EXPECTATION_FAILED,
    )
}


_BROKEN_OFF = "the body broke off, or its chunks are not as RFC 9112 has them: send it whole"


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as error:
        return error.response()
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004  (a redirect is no error)
            raise
        return translated(error).response()
    except web.RequestPayloadError:
        return ProblemError(errors.BAD_REQUEST, _BROKEN_OFF, headers={"Connection": "close"}).response()
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return errors.unforeseen().response()


def translated(error: web.HTTPException) -> ProblemError:
    """Aiohttp's own refusals: no such route, wrong method, body too large, an unknown Expect."""
    code = _BY_STATUS.get(error.status, Code("http_error", error.status, error.reason))
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return ProblemError(
        code, error.reason if code.code == "http_error" else f"{code.title}.", headers=headers
    )
