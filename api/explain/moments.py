"""Times as the answer has them: in UTC for programs, and on a campaign's wall clock for people."""

from datetime import UTC, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from api.campaigns.windows import EPOCH, SECOND_US, local_time

#: The ends of calendar windows are shared by thousands of campaigns.
_REMEMBERED_MAX: Final = 4096


def iso(instant_us: int) -> str:
    """Such as "2026-11-22T17:00:00Z"; with microseconds unless they are 0."""
    moment = EPOCH + timedelta(microseconds=instant_us)
    return moment.replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=_REMEMBERED_MAX)
def local(instant_us: int, zone: ZoneInfo) -> str:
    """Such as "2026-11-23 00:00 WIB"; with seconds unless they are 0. Rounded up: never too early."""
    moment = local_time(-(-instant_us // SECOND_US) * SECOND_US, zone)
    clock = "%H:%M:%S" if moment.second else "%H:%M"
    return moment.strftime(f"%Y-%m-%d {clock} ") + (moment.tzname() or str(UTC))


@lru_cache(maxsize=_REMEMBERED_MAX)
def again(instant_us: int, zone: ZoneInfo) -> str:
    """The JSON of both."""
    return f'{{"at":"{iso(instant_us)}","local":"{local(instant_us, zone)}"}}'
