"""`tayang report`: a campaign's report straight from the primary, as a plot or as JSON."""

from datetime import UTC, date, datetime
from typing import Final

from pydantic_core import to_json
from rich.console import Console

from api.admin.days import check_days, local_day
from api.admin.reports.report import Report, first_day, read_report
from api.admin.store import CampaignRef, find_campaign
from api.errors import ProblemError
from buffer.connection import DATABASE_ERRORS
from buffer.primary import Primary
from tayang.report_plot import plot

OK: Final = 0
DATABASE_FAILED: Final = 1
BAD_INPUT: Final = 2

CONNECT_SECONDS: Final = 10.0
STAGGER_SECONDS: Final = 0.25
STATEMENT_SECONDS: Final = 30.0


async def print_report(
    dsn: str, campaign: str, first: date | None, last: date | None, *, as_json: bool
) -> int:
    """Exit code: 0 done; 1 the database failed; 2 there is no such campaign, or the days are wrong."""
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        report = await _read(dsn, CampaignRef.parse(campaign), first, last)
    except ProblemError as error:
        errors.print(f"error: {campaign}: {error.detail}")
        return BAD_INPUT
    except DATABASE_ERRORS as error:
        errors.print(f"error: the primary database failed: {error or type(error).__name__}")
        return DATABASE_FAILED
    if as_json:
        Console(soft_wrap=True, markup=False, highlight=False).print(to_json(report.document()).decode())
    else:
        plot(report, Console(highlight=False))
    return OK


async def _read(dsn: str, ref: CampaignRef, first: date | None, last: date | None) -> Report:
    primary = Primary(dsn, timeout_seconds=CONNECT_SECONDS, stagger_seconds=STAGGER_SECONDS)
    timeout = {"statement_timeout": f"{STATEMENT_SECONDS:g}s", "jit": "off"}
    connection = await primary.connect(server_settings={"application_name": "tayang report", **timeout})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            row = await find_campaign(connection, ref)
            last = last or local_day(row["timezone"], datetime.now(UTC))
            first = first or first_day(row, last)
            check_days(first, last)
            return await read_report(connection, row, first, last)
    finally:
        connection.terminate()
