"""A campaign's report: read in one snapshot, and as a JSON document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from api.admin.database import Connection
from api.admin.days import MAX_DAYS, local_day
from api.admin.documents import plain
from api.admin.reports.figures import Figures, total
from api.admin.reports.lift import Lift, Newcomers, lift_of


class DayFigures(NamedTuple):
    day: date
    variant: str
    figures: Figures


@dataclass(frozen=True)
class Report:
    """`frequency` (users by times; 64 is 64 or more) is of all time, `newcomers` of all days until `last`."""

    campaign: Mapping[str, Any]
    first: date
    last: date
    as_of: datetime
    days: Sequence[DayFigures]
    newcomers: Sequence[Newcomers]
    frequency: Mapping[int, int]
    no_shows: Mapping[str, int]

    @property
    def reach(self) -> int:
        """Users who have ever seen it, each once."""
        return sum(self.frequency.values())

    @property
    def total(self) -> Figures:
        return total(each.figures for each in self.days)

    @property
    def by_variant(self) -> dict[str, Figures]:
        """Also of variants that have no event yet, but served marks or ghosts."""
        parts: dict[str, list[Figures]] = {each.variant: [] for each in self.newcomers}
        for _, variant, figures in self.days:
            parts.setdefault(variant, []).append(figures)
        return {name: total(parts[name]) for name in sorted(parts)}

    @property
    def by_day(self) -> dict[date, dict[str, Figures]]:
        """By variant, for each day with any event."""
        days: dict[date, dict[str, Figures]] = {}
        for day, variant, figures in self.days:
            days.setdefault(day, {})[variant] = figures
        return days

    def lift(self, variant: str | None = None) -> Lift:
        return lift_of(self.newcomers, variant)

    def document(self) -> dict[str, Any]:
        return {
            "campaign": self.campaign["key"],
            "name": self.campaign["name"],
            "timezone": self.campaign["timezone"],
            "from": plain(self.first),
            "to": plain(self.last),
            "as_of": plain(self.as_of),
            "total": self.total.document(),
            "reach": self.reach,
            "frequency": [{"times": times, "users": users} for times, users in self.frequency.items()],
            "lift": self.lift().document(),
            "variants": [
                {"variant": name, **figures.document(), "lift": self.lift(name).document()}
                for name, figures in self.by_variant.items()
            ],
            "days": [_day(day, variants) for day, variants in self.by_day.items()],
            "no_shows": [{"reason": name, "requests": number} for name, number in self.no_shows.items()],
        }


def first_day(campaign: Mapping[str, Any], last: date) -> date:
    """Of a report that names none: the day of the campaign's creation, or as far back as a report goes."""
    created = local_day(campaign["timezone"], campaign["created_at"])
    return max(min(created, last), last - timedelta(days=MAX_DAYS - 1))


async def read_report(connection: Connection, campaign: Mapping[str, Any], first: date, last: date) -> Report:
    """In the caller's transaction, which should be one snapshot. Both days are included."""
    number = campaign["id"]
    # Whatever its zone was then.
    began = local_day("UTC", campaign["created_at"]) - timedelta(days=2)
    days = await connection.fetch(_DAYS, number, first, last)
    newcomers = await connection.fetch(_NEWCOMERS, number, began, last)
    frequency = await connection.fetch(_FREQUENCY, number)
    no_shows = await connection.fetch(_NO_SHOWS, number, first, last)
    return Report(
        campaign=campaign,
        first=first,
        last=last,
        as_of=await connection.fetchval(_AS_OF),
        days=[DayFigures(row["day"], row["variant"], Figures(*tuple(row)[2:])) for row in days],
        newcomers=[Newcomers(*row) for row in newcomers],
        frequency={row["times"]: row["users"] for row in frequency},
        no_shows={row["reason"]: row["requests"] for row in no_shows},
    )


def _day(day: date, variants: Mapping[str, Figures]) -> dict[str, Any]:
    parts = [{"variant": name, **figures.document()} for name, figures in variants.items()]
    return {"day": plain(day), **total(variants.values()).document(), "variants": parts}


def _statement(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_DAYS: Final = _statement("days")
_NEWCOMERS: Final = _statement("newcomers")
_FREQUENCY: Final = _statement("frequency")
_NO_SHOWS: Final = _statement("no_shows")
_AS_OF: Final = _statement("as_of")
