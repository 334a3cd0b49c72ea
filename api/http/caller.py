"""For which user a mobile request is: the one place where the mobile endpoints learn it."""

from aiohttp import web

from api.authorization import authorization
from api.http.delivery import Delivery


def calling_user(request: web.Request, delivery: Delivery, now_seconds: float) -> str:
    """The user's id. Raises ProblemError (400, 401)."""
    return delivery.users.user_id(authorization(request), now_seconds)
