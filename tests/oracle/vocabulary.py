"""What random cases are made of: few values, so that they meet, and moments at which clocks change."""

from typing import Final

#: Zone → instants at or near which its clocks change, or a day, week, month or year begins.
MOMENTS: Final[dict[str, tuple[str, ...]]] = {
    "UTC": ("2027-01-01T00:00:00Z", "2024-02-29T00:00:00Z", "2026-11-02T00:00:00Z"),
    "Asia/Jakarta": ("2026-11-22T17:00:00Z", "2026-10-31T17:00:00Z", "2026-12-31T17:00:00Z"),
    "America/New_York": ("2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T04:00:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z", "2026-04-04T13:00:00Z"),
    # Not before 2012: there it changed at 00:01, so that a day ended twice. No zone has done so since.
    "America/St_Johns": ("2026-03-08T05:30:00Z", "2026-11-01T04:30:00Z", "2026-11-01T02:30:00Z"),
    # It skipped Friday, 30 December 2011.
    "Pacific/Apia": ("2011-12-30T10:00:00Z", "2012-01-01T10:00:00Z", "2026-11-15T11:00:00Z"),
    "America/Havana": ("2026-03-08T05:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T04:00:00Z"),
    "Asia/Kathmandu": ("2026-06-14T18:15:00Z", "2026-06-30T18:15:00Z"),
}
ZONES: Final = tuple(MOMENTS)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

SPANS: Final = ("1s", "90s", "30m", "24h", "7d", "31d")
PERIODS: Final = ("day", "week", "month")
WINDOWS: Final = (*SPANS[1:], *PERIODS, "lifetime", "session")
SESSIONS: Final = ("s1", "s2")
TAGS: Final = ("promo", "news", "vip")
USERS: Final = ("ani", "budi", "citra")

#: What a request may send; None: it doesn't.
ATTRIBUTES: Final[dict[str, tuple[str | None, ...]]] = {
    "platform": ("android", "ios", None),
    "app_version": ("5.2", "5.2.0", "5.9", "5.10", "5.2-rc1", "5.2.0-rc1", "5.2+7", "6", "latest", "", None),
    "locale": ("id-ID", "id", "en-US", None),
    "country": ("ID", "SG", "id", None),
    "attr.tier": ("gold", "silver", "golden", "", None),
    "attr.age": ("17", "18", "18.0", "-3", "old", "", "1000000000000000", None),
}
#: What campaigns ask for.
VALUES: Final[dict[str, tuple[str | float, ...]]] = {
    "platform": ("android", "ios"),
    "app_version": ("5.2", "5.2.0", "5.9", "5.10.0", "5.2-rc1", "5.2-rc2", "5.2-1", "4", "5.2+8"),
    "locale": ("id-ID", "id", "en-US", "ID"),
    "country": ("ID", "SG", "MY"),
    "attr.tier": ("gold", "silver", "platinum", ""),
    "attr.age": (17, 18, 18.5, -3, 0, 1_000_000_000_000_000),
}
ORDERS: Final = ("gt", "gte", "lt", "lte")
OPERATORS: Final = ("eq", "ne", "in", "not_in", "prefix", "exists", *ORDERS)
