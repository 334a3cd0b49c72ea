"""Handler of /v1/admin/campaigns/{id}/no-shows: why requests were not shown the campaign, by day."""

from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from api.admin.body import date_parameter
from api.admin.database import primary
from api.admin.days import check_days, local_day
from api.admin.documents import answer, plain
from api.admin.store import CampaignRef, find_campaign, load_sql

DEFAULT_DAYS: Final = 7
_LIST: Final = load_sql("list_no_shows")


async def get_no_shows(request: web.Request) -> web.Response:
    """`?from=&to=`, days of the campaign's zone, both included; the last 7 days if left out.

    {"campaign": key, "days": [{"day", "reason", "requests"}, …]}: by day, the most frequent reason first.
    """
    ref = CampaignRef.parse(request.match_info["id"])
    async with primary(request) as connection:
        row = await find_campaign(connection, ref)
        last = date_parameter(request, "to", local_day(row["timezone"], datetime.now(UTC)))
        first = date_parameter(request, "from", last - timedelta(days=DEFAULT_DAYS - 1))
        check_days(first, last)
        rows = await connection.fetch(_LIST, row["id"], first, last)
    days = [{name: plain(value) for name, value in each.items()} for each in rows]
    return answer({"campaign": row["key"], "days": days})
