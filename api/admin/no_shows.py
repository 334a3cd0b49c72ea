"""Handler of /v1/admin/campaigns/{id}/no-shows: why requests were not shown the campaign, by day."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import web

from api.admin.body import date_parameter
from api.admin.database import primary
from api.admin.documents import answer, plain
from api.admin.store import CampaignRef, find_campaign, load_sql
from api.campaigns.fields import zone_names
from api.errors import BAD_PARAMETER, ProblemError

DEFAULT_DAYS: Final = 7
MAX_DAYS: Final = 366
_LIST: Final = load_sql("list_no_shows")


async def get_no_shows(request: web.Request) -> web.Response:
    """`?from=&to=`, days of the campaign's zone, both included; the last 7 days if left out.

    {"campaign": key, "days": [{"day", "reason", "requests"}, …]}: by day, the most frequent reason first.
    """
    ref = CampaignRef.parse(request.match_info["id"])
    async with primary(request) as connection:
        row = await find_campaign(connection, ref)
        last = date_parameter(request, "to", _today(row["timezone"]))
        first = date_parameter(request, "from", last - timedelta(days=DEFAULT_DAYS - 1))
        if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
            raise ProblemError(
                BAD_PARAMETER, f"from {first} to {last}: to must not be before from, nor over {MAX_DAYS} days"
            )
        rows = await connection.fetch(_LIST, row["id"], first, last)
    days = [{name: plain(value) for name, value in each.items()} for each in rows]
    return answer({"campaign": row["key"], "days": days})


def _today(zone: str) -> date:
    # A zone that was spoilt by hand: what was counted can be read all the same.
    return datetime.now(ZoneInfo(zone if zone in zone_names() else "UTC")).date()
