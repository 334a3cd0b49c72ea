"""The parts of campaigns and of the policy as they are written, each checked by itself."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from api.campaigns.targeting import StrictModel, check_storable
from api.campaigns.windows import parse_duration, parse_window

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# The counts keep the 64 newest times of each user and campaign, so a windowed cap can't look further back.
MAX_WINDOWED_LIMIT: Final = 64
MAX_LIFETIME_LIMIT: Final = 1_000_000_000
MAX_BUDGET: Final = 1_000_000_000
MAX_CAPS: Final = 10

SLUG: Final = r"^[a-z0-9][a-z0-9-]*$"
_YEARS = range(1970, 9999)
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)


def _written_out(value: Any) -> Any:
    """Pydantic would take a number, or a text of digits, as seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_AND_TIME.match(value)):
        return value
    raise ValueError("write a date, a time and an offset, such as '2026-11-01T00:00:00+07:00'")


def _in_range(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")
    return moment


def _window(text: str) -> str:
    parse_window(text)
    return text


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _zone_name(name: str) -> str:
    # "localtime" is whatever the machine is set to.
    if name not in zone_names() or name == "localtime":
        raise ValueError(
            f"{name[:40]!r} is not a time zone: write an IANA name such as 'Asia/Jakarta' or 'UTC'"
        )
    return name


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    # Reading the list takes 40 ms. ZoneInfo() itself would accept "asia/jakarta" on some systems.
    return frozenset(available_timezones())


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("name each one once")
    return values


Instant = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_in_range)
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(check_storable)]
_LENGTH: Final = "[0-9]{1,9}[smhd]"
Duration = Annotated[
    str,
    AfterValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_LENGTH}$", "examples": ["30m"]}),
]
WindowName = Annotated[
    str,
    AfterValidator(_window),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({_LENGTH}|day|week|month|session|lifetime)$",
            "examples": ["24h", "day", "lifetime"],
        }
    ),
]
ZoneName = Annotated[str, AfterValidator(_zone_name), Field(examples=["Asia/Jakarta"])]
Tag = Annotated[str, Field(pattern=SLUG, max_length=32)]
Tags = Annotated[list[Tag], Field(max_length=10), AfterValidator(_each_once)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Daypart(StrictModel):
    """From `from` until just before `to`, wall time; a `to` not after `from` is on the next day."""

    days: Annotated[list[Weekday], Field(min_length=1, max_length=7), AfterValidator(_each_once)]
    from_: str = Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    to: str = Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")


class Cap(StrictModel):
    # The window first: what the limit may be depends on it.
    window: WindowName
    limit: int = Field(ge=1, le=MAX_LIFETIME_LIMIT)

    @field_validator("limit")
    @classmethod
    def _can_be_counted(cls, limit: int, info: ValidationInfo) -> int:
        if limit > MAX_WINDOWED_LIMIT and info.data.get("window", "lifetime") != "lifetime":
            raise ValueError(f"must be at most {MAX_WINDOWED_LIMIT}, except with window 'lifetime'")
        return limit


def _one_a_window(caps: Sequence[Cap]) -> Sequence[Cap]:
    seen: dict[Any, str] = {}
    for cap in caps:
        window = parse_window(cap.window)
        if window in seen:
            raise ValueError(f"{seen[window]!r} and {cap.window!r} are one window: keep the lower limit")
        seen[window] = cap.window
    return caps


Caps = Annotated[list[Cap], Field(max_length=MAX_CAPS), AfterValidator(_one_a_window)]


_KINDS: Final = ("click", "dismiss", "convert")


class Stop(StrictModel):
    """After `count` of them; with `for` only so long after the last one."""

    count: int = Field(ge=1, le=1_000_000)
    for_: Duration | None = Field(default=None, alias="for")

    @model_serializer
    def _as_written(self) -> int | dict[str, Any]:
        return self.count if self.for_ is None else {"count": self.count, "for": self.for_}


class StopAfter(StrictModel):
    """How many interactions of a user end the campaign for them. A number alone: for good."""

    click: Stop | None = None
    dismiss: Stop | None = None
    convert: Stop | None = None

    @field_validator(
        *_KINDS, mode="before", json_schema_input_type=Annotated[int, Field(ge=1, le=1_000_000)] | Stop | None
    )
    @classmethod
    def _number_alone(cls, value: Any) -> Any:
        return {"count": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {kind: stop for kind in _KINDS if (stop := getattr(self, kind)) is not None}

    @model_validator(mode="after")
    def _stops_after_something(self) -> "StopAfter":
        if self.click is None and self.dismiss is None and self.convert is None:
            raise ValueError("name at least one of click, dismiss and convert, or leave stop_after out")
        return self


class Budget(StrictModel):
    """How many impressions of all users together. Within `hard`, not one more; else about so many."""

    total: int | None = Field(default=None, ge=1, le=MAX_BUDGET)
    per_day: int | None = Field(default=None, ge=1, le=MAX_BUDGET, description="by the campaign's timezone")
    pacing: Literal["asap", "even"] = "asap"
    hard: bool = False

    @model_validator(mode="after")
    def _can_be_kept(self) -> "Budget":
        if self.total is None and self.per_day is None:
            raise ValueError("needs a limit: give total, per_day, or both")
        if self.hard and self.pacing == "even":
            raise ValueError("a hard budget has pacing 'asap': its units are handed out ahead")
        return self
