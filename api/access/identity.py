"""Who a request is by and for, as the guard has found out before its handler."""

from typing import Final

from aiohttp import web

#: For whom a mobile endpoint works.
USER: Final = web.RequestKey("user", str)
#: The id of the key of an admin request.
ACTOR: Final = web.RequestKey("actor", str)
