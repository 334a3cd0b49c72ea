"""Typed keys of what the application holds, in the order in which it is built."""

from typing import Final

import asyncpg
from aiohttp import web

from api.config import ApiConfig
from api.http.connections import Connections
from buffer.primary import Primary

CONFIG: Final = web.AppKey("config", ApiConfig)
CONNECTIONS: Final = web.AppKey("connections", Connections)
PRIMARY: Final = web.AppKey("primary", Primary)
#: The primary, for the admin API only: the popup paths hold connections of their own.
PRIMARY_POOL: Final = web.AppKey("primary_pool", asyncpg.Pool)
