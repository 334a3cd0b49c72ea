"""What came of a campaign, and why it was not shown."""

from datetime import date
from typing import Any, Final

from api.admin.reports.handler import FORMATS
from api.admin.reports.tables import TABLES
from api.campaigns.fields import Instant
from api.contract import answers, figures, forms
from api.contract.words import Answer, Operation, Parameter

_FROM: Final = Parameter(
    "from", date, "The first day, by the campaign's time zone; at most 366 days.", example="2026-11-01"
)
_TO: Final = Parameter("to", date, "The last day; until today if left out.", example="2026-11-07")
_FIGURES: Final[dict[str, Any]] = {
    "impressions": 52000,
    "late_impressions": 12,
    "clicks": 2100,
    "dismissals": 9000,
    "conversions": 1100,
    "late_events": 15,
    "new_users": 20000,
    "new_clickers": 1900,
    "new_dismissers": 8100,
    "new_converters": 1000,
    "ctr": 0.0404,
}
_LIFT: Final = {
    "shown": {"users": 20000, "converted": 1000, "rate": 0.05},
    "held_out": {"users": 1000, "converted": 40, "rate": 0.04},
    "problem": None,
    "confidence": 0.95,
    "difference": {"value": 0.01, "low": -0.0043, "high": 0.0209},
    "relative": {"value": 0.25, "low": -0.0798, "high": 0.7042},
}
_REPORT: Final = {
    "campaign": "ramadan-sale",
    "name": "Ramadan sale",
    "timezone": "Asia/Jakarta",
    "from": "2026-11-01",
    "to": "2026-11-07",
    "as_of": "2026-11-07T08:00:00.25Z",
    "total": _FIGURES,
    "reach": 20000,
    "frequency": [{"times": 1, "users": 8000}, {"times": 64, "users": 3}],
    "lift": _LIFT,
    "variants": [{"variant": "a", **_FIGURES, "lift": _LIFT}],
    "days": [{"day": "2026-11-01", **_FIGURES, "variants": [{"variant": "a", **_FIGURES}]}],
    "no_shows": [{"reason": "capped", "requests": 5120}],
}
_AGAIN: Final = {"at": "2026-11-22T17:00:00Z", "local": "2026-11-23 00:00 WIB"}
_EXPLANATION: Final = {
    "user_id": "ani",
    "placement": "home",
    "at": "2026-11-22T03:00:00.5Z",
    "as_of": "2026-11-22T03:00:00.3Z",
    "age_seconds": 0.2,
    "source": "replica",
    "pending_events": 1,
    "test_user": False,
    "globally_held_out": False,
    "popups": [],
    "campaigns": [
        {
            "campaign": "ramadan-sale",
            "id": 3,
            "status": "live",
            "priority": 10,
            "verdict": "capped",
            "rank": None,
            "variant": None,
            "counts": {
                "impressions": 3,
                "clicks": 1,
                "dismissals": 0,
                "conversions": 0,
                "last_shown_at": "2026-11-22T02:59:59Z",
                "ghosts": False,
            },
            "reasons": [
                {
                    "code": "capped",
                    "detail": {"window": "day", "limit": 3, "count": 3},
                    "again_from": _AGAIN,
                    "text": "shown 3 times on this day, the limit is 3; again from 2026-11-23 00:00 WIB",
                }
            ],
            "again_from": _AGAIN,
            "order": None,
        }
    ],
}

OPERATIONS: Final = {
    "GET /v1/admin/campaigns/{id}/report": Operation(
        "getReport",
        "Reports",
        "What came of a campaign, as JSON or CSV",
        parameters=(
            forms.CAMPAIGN,
            _FROM,
            _TO,
            Parameter("format", forms.one_of(FORMATS), "Wins over `Accept`.", example="json"),
            Parameter(
                "table",
                forms.one_of(TABLES),
                f"Which part, as CSV; `{TABLES[0]}` if left out.",
                example=TABLES[0],
            ),
        ),
        answers=[
            Answer(200, "The report.", figures.Report, _REPORT, headers=["Vary"]),
            Answer(
                200, "The report.", str, "times,users\r\n1,8000\r\n", media_type="text/csv", headers=["Vary"]
            ),
        ],
    ),
    "GET /v1/admin/campaigns/{id}/no-shows": Operation(
        "getNoShows",
        "Reports",
        "Why requests were not shown a campaign, by day",
        description="The last 7 days if left out. Days without a count are left out; the most frequent "
        "reason of a day comes first.",
        parameters=[forms.CAMPAIGN, _FROM, _TO],
        answers=[
            Answer(
                200,
                "The counts.",
                answers.NoShows,
                {
                    "campaign": "ramadan-sale",
                    "days": [{"day": "2026-11-01", "reason": "capped", "requests": 5120}],
                },
            )
        ],
    ),
    "GET /v1/admin/explain": Operation(
        "explain",
        "Reports",
        "Why one user sees what he sees",
        parameters=(
            Parameter(
                "user_id",
                forms.UserId,
                "The `sub` of the user's JWT. One that was never seen has an empty history.",
                required=True,
                example="ani",
            ),
            *forms.CONTEXT,
            Parameter(
                "at", Instant, "Another time than now, with an offset.", example="2026-11-23T00:00:00Z"
            ),
            Parameter("campaign", forms.Text, "Only this one, by key or id.", example="ramadan-sale"),
        ),
        answers=[
            Answer(200, "The explanation.", figures.Explanation, _EXPLANATION, headers=["Cache-Control"])
        ],
    ),
}
