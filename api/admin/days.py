"""Days of a campaign's zone, as requests name them."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from api.campaigns.fields import zone_names
from api.errors import BAD_PARAMETER, ProblemError

MAX_DAYS: Final = 366


def local_day(zone: str, moment: datetime) -> date:
    # A zone that was spoilt by hand: what was counted can be read all the same.
    return moment.astimezone(ZoneInfo(zone if zone in zone_names() else "UTC")).date()


def check_days(first: date, last: date) -> None:
    """Raises ProblemError BAD_PARAMETER unless it is 1 to 366 days, both included."""
    if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
        raise ProblemError(
            BAD_PARAMETER,
            f"from {first} to {last}: to must not be before from, nor over {MAX_DAYS} days",
            parameter="to",
        )
