"""`GET /v1/admin/campaigns/{id}/report`, as JSON or CSV."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from pydantic_core import to_json

from api.admin.body import choice_parameter, date_parameter
from api.admin.database import Connection, primary
from api.admin.days import check_days, local_day
from api.admin.documents import JSON
from api.admin.reports.report import Report, first_day, read_report
from api.admin.reports.tables import TABLES, written
from api.admin.store import CampaignRef, find_campaign

FORMATS: Final = ("json", "csv")
# Every merge makes another report of it: nobody could keep one.
_HEADERS: Final = {"Vary": "Accept", "Cache-Control": "no-store"}


async def get_report(request: web.Request) -> web.Response:
    """`?from=&to=` are days of the campaign's zone, both included; `format=json|csv` wins over Accept."""
    ref = CampaignRef.parse(request.match_info["id"])
    accepted = "csv" if prefers_csv(request.headers.get("Accept", "")) else "json"
    as_csv = choice_parameter(request, "format", accepted, FORMATS) == "csv"
    table = choice_parameter(request, "table", TABLES[0], TABLES)
    async with (
        primary(request) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        report = await _read(request, connection, ref)
    return _csv(report, table) if as_csv else _json(report)


def prefers_csv(accept: str) -> bool:
    """Whether an Accept header wants text/csv more than JSON, which is what it gets if in doubt."""
    weights = {"text/csv": 0.0, "application/json": 0.0}
    for part in accept.split(","):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        if name in weights:
            weights[name] = next((_weight(each) for each in parameters if each.startswith("q=")), 1.0)
    return weights["text/csv"] > weights["application/json"]


async def _read(request: web.Request, connection: Connection, ref: CampaignRef) -> Report:
    campaign = await find_campaign(connection, ref)
    last = date_parameter(request, "to", local_day(campaign["timezone"], datetime.now(UTC)))
    first = date_parameter(request, "from", first_day(campaign, last))
    check_days(first, last)
    return await read_report(connection, campaign, first, last)


def _json(report: Report) -> web.Response:
    # A year by day and variant is 400 KB: json.dumps would hold up the process three times as long.
    return web.Response(body=to_json(report.document()), headers=_HEADERS, content_type=JSON)


def _csv(report: Report, table: str) -> web.Response:
    name = f"{report.campaign['key']}-{table}-{report.first}-{report.last}.csv"
    return web.Response(
        text=written(report, table),
        headers={**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'},
        content_type="text/csv",
        charset="utf-8",
    )


def _weight(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0
